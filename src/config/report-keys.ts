/** The keys of a connector that are about delivery reports, and of these `bouncePath`: its form, and what it may not be combined with. */
import { z } from 'zod';
import { parseAddress } from '../message/address.ts';
import { idPlace, maxLocalPartChars, signatureChars } from '../message/return-path.ts';
import type { Path, Problem } from './issues.ts';
import { textAs, type Reading } from './values.ts';

/** What the id of a message, a UUID, and its signature leave of a local part. */
const pathChars = maxLocalPartChars - signatureChars - 36;

const bouncePath = textAs('bounce-path', (text): Reading<string> => {
  const [before = '', after = '', ...more] = text.split(idPlace);
  const parsed = parseAddress(`${before}x${after}`);
  if (!text.includes(idPlace) || more.length > 0 || !parsed.ok || !/^[^@"]*$/.test(before)) {
    return { must: `must be an address with one ${idPlace} before the @: bounces+${idPlace}@example.com` };
  }
  const address = parsed.value;
  const at = address.lastIndexOf('@');
  if (at - 1 > pathChars) {
    return { must: `must have at most ${pathChars} characters beside ${idPlace} before the @, so that the id fits` };
  }
  return { value: `${before}${idPlace}${address.slice(before.length + 1)}` };
});

export const reportKeys = {
  bounces: z
    .boolean()
    .default(false)
    .describe(
      'Reads delivery reports from the INBOX of `incoming` (IMAP), or without it by `graph`, and notes what came back. Nothing in the mailbox is changed.',
    ),
  bouncePath: bouncePath
    .optional()
    .describe(
      'A unique return path for each mail (VERP): an address with `{id}`, such as `bounces+{id}@example.com`, in which the id of the message is signed. Only for `smtp`. Default: the sender’s address.',
    ),
};

/** Of a connector with `bouncePath`. */
export function bouncePathProblems(connector: Readonly<Record<string, unknown>>, path: Path): Problem[] {
  if (connector['bouncePath'] === undefined) return [];
  const message =
    connector['direction'] === 'incoming'
      ? 'is not used: an incoming connector never sends; move it to the connector that sends'
      : connector['graph'] !== undefined
        ? 'cannot be combined with graph, which has no envelope: Exchange sends reports to the From address; remove it'
        : null;
  return message === null ? [] : [{ path: [...path, 'bouncePath'], rule: 'bounce-path-unused', message, on: 'key' }];
}
