/** Searches the record of the fake for what must never happen. */
import type { Delivery } from './outbox.ts';
import type { FakeRequest } from './requests.ts';

/**
 * Requests that came while an earlier answer of the same app and mailbox asked to wait. Requests that had already arrived
 * when the answer was sent do not count, nor do the next `underWay` ones: attempts that other processes had begun by then.
 */
export function brokenRetryAfters(requests: readonly FakeRequest[], underWay = 0): string[] {
  return requests.flatMap((asking) => {
    const waitMs = retryAfterMs(asking);
    const { answer } = asking;
    if (answer === null || waitMs === null) return [];
    return requests
      .filter(({ app, mailbox }) => app === asking.app && mailbox === asking.mailbox)
      .filter(({ at }) => at > answer.at && at < answer.at + waitMs)
      .slice(underWay)
      .map(
        ({ serial, at }) =>
          `request ${serial} came ${at - answer.at} ms after request ${asking.serial} was told to wait ${waitMs} ms`,
      );
  });
}

/** How long an answer asks to wait, in ms; null if it does not. */
export function retryAfterMs({ answer }: FakeRequest): number | null {
  const value = answer?.headers['retry-after'];
  if (answer === null || value === undefined) return null;
  return /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - answer.at;
}

/** Copies that show a Bcc recipient, in a header or anywhere in the bytes. */
export function bccLeaks(deliveries: readonly Delivery[]): string[] {
  return deliveries.flatMap(({ recipient, message, mime, internetMessageId }) => {
    const { to, cc, bcc, subject, body, headers } = message;
    const shown = [...to, ...cc].map(({ address }) => address.toLowerCase());
    // A message posted as JSON has no Bcc field in the copy: the other fields are what it shows.
    const copy = mime?.toString('latin1') ?? JSON.stringify([subject, body, headers]);
    const text = copy.toLowerCase();
    return bcc
      .map(({ address }) => address.toLowerCase())
      .filter((address) => !shown.includes(address) && text.includes(address))
      .map((address) => `${address} is in the copy of ${internetMessageId} to ${recipient}`);
  });
}
