/** Turns what a caller passes into a message with an id, or refuses it with every reason. */
import { randomBytes } from 'node:crypto';
import { PostlaneError, type Issue } from '../errors.ts';
import { newMessageId } from '../message/identity.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import { parseMessage } from '../message/schema.ts';

export interface AcceptedMessage {
  readonly id: string;
  readonly message: Message;
  /** The id is the caller's, so it may be in use already. */
  readonly broughtId: boolean;
}

/** How many issues the error's text names; `issues` has all of them. */
const maxNamed = 5;

/** @throws PostlaneError `message-invalid` */
export function acceptMessage(input: unknown, limits: MessageLimits): AcceptedMessage {
  const parsed = parseMessage(input, limits);
  if (!parsed.ok) throw invalidMessage(parsed.issues);
  const broughtId = parsed.message.id !== undefined;
  const id = parsed.message.id ?? newMessageId(Date.now(), randomBytes(10));
  return { id, message: { ...parsed.message, id }, broughtId };
}

export function invalidMessage(issues: readonly Issue[]): PostlaneError {
  const named = issues
    .slice(0, maxNamed)
    .map(({ field, message }) => `${field === '' ? 'message' : field}: ${message}`);
  const more = issues.length > maxNamed ? ` (and ${issues.length - maxNamed} more in \`issues\`)` : '';
  const text = `The message is not valid: ${named.join('; ')}${more}`;
  return new PostlaneError('message-invalid', text, { issues });
}
