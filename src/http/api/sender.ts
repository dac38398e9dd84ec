/** Whether a token that is limited to some From addresses may submit a message: every place that says who sends is looked at. */
import type { ApiToken } from '../../config/api.ts';
import type { Config } from '../../config/config.ts';
import { inlineHead } from '../../message/content.ts';
import type { Message } from '../../message/message.ts';
import { headBytes, readRawHeader } from '../../message/raw.ts';
import { parseMessage } from '../../message/schema.ts';
import { mayUse } from './access.ts';

/**
 * Why the token may not submit it; null if it may. What is no valid message is left to the producer, which refuses it.
 */
export function refusedSender(
  input: unknown,
  token: ApiToken,
  { message: limits, unmonitoredAddress }: Pick<Config, 'message' | 'unmonitoredAddress'>,
): string | null {
  if (token.from === null) return null;
  const parsed = parseMessage(input, limits);
  if (!parsed.ok) return null;
  const { message } = parsed;
  const from = message.from ?? unmonitoredAddress;
  const { sender } = message;
  const named = [
    from?.address ?? null,
    ...(sender === undefined ? [] : [sender.address]),
    ...reversePath(message),
    ...sendersOf(message),
  ];
  const refused = named.find((address) => !mayUse(token, address));
  if (refused === undefined) return null;
  const what = refused === null ? 'a message whose sender cannot be read' : `as ${refused}`;
  return `the token ${token.id} may not send ${what}`;
}

/** The null reverse-path (RFC 5321 section 4.5.5) is no address of anyone; From has to fit all the same. */
function reversePath({ envelope: { from } }: Message): string[] {
  return from === undefined || from === '' ? [] : [from];
}

/** Of the header of a finished message, whose From may differ from the one beside it; null where it cannot be read. */
function sendersOf({ raw }: Message): (string | null)[] {
  if (raw === undefined) return [];
  // What is stored already may be of another token.
  if ('ref' in raw) return [null];
  const header = readRawHeader(inlineHead(raw, headBytes));
  if (!header.ok || !header.value.senders.ok) return [null];
  return header.value.senders.value.map(({ address }) => address);
}
