/** Looks through what the fake has recorded for what must never happen. */
import type { Delivery } from './outbox.ts';
import type { FakeRequest } from './requests.ts';

/**
 * Requests that came while an earlier answer of the same app and mailbox had asked to wait. Those that were on their way
 * already when the answer went out are none of them; whoever asks from several processes gets `graceMs` to tell the others.
 */
export function brokenRetryAfters(requests: readonly FakeRequest[], graceMs = 0): string[] {
  return requests.flatMap((asking) => {
    const waitMs = retryAfterMs(asking);
    const { answer } = asking;
    if (answer === null || waitMs === null) return [];
    return requests
      .filter(({ app, mailbox }) => app === asking.app && mailbox === asking.mailbox)
      .filter(({ at }) => at > answer.at + graceMs && at < answer.at + waitMs)
      .map(
        ({ serial, at }) =>
          `request ${serial} came ${at - answer.at} ms after request ${asking.serial} was told to wait ${waitMs} ms`,
      );
  });
}

/** What an answer asks to wait; null if it does not. */
function retryAfterMs({ answer }: FakeRequest): number | null {
  const value = answer?.headers['retry-after'];
  if (answer === null || value === undefined) return null;
  return /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - answer.at;
}

/** Recipients' copies in which somebody of Bcc can be found: in a header or anywhere in the bytes. */
export function bccLeaks(deliveries: readonly Delivery[]): string[] {
  return deliveries.flatMap(({ recipient, message, mime, internetMessageId }) => {
    const { to, cc, bcc, subject, body, headers } = message;
    const shown = [...to, ...cc].map(({ address }) => address.toLowerCase());
    // A copy made of JSON has no Bcc field of its own: what it shows is its other fields.
    const copy = mime?.toString('latin1') ?? JSON.stringify([subject, body, headers]);
    const text = copy.toLowerCase();
    return bcc
      .map(({ address }) => address.toLowerCase())
      .filter((address) => !shown.includes(address) && text.includes(address))
      .map((address) => `${address} is in the copy of ${internetMessageId} to ${recipient}`);
  });
}
