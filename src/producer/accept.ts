/** Turns what a caller passes into a message with an id, or refuses it with every reason. */
import { randomUUID } from 'node:crypto';
import { PostlaneError, type Issue } from '../errors.ts';
import { newMessageId } from '../message/identity.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import { parseMessage } from '../message/schema.ts';
import { maxDataBytesOf, type WireJob } from '../queue/jobs.ts';

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
  const id = parsed.message.id ?? newMessageId(Date.now(), randomUUID());
  return { id, message: { ...parsed.message, id }, broughtId };
}

/**
 * The job as JSON. Refuses what a worker would not take: one that is larger than the bound on jobs, such as a text of quotation marks that
 * is nearly as long as a message may be.
 *
 * @throws PostlaneError `message-invalid`
 */
export function wireText(job: WireJob | Readonly<Record<string, unknown>>, limits: MessageLimits): string {
  const text = JSON.stringify(job);
  requireBytes(text, maxDataBytesOf(limits, false));
  return text;
}

/** @throws PostlaneError `message-invalid` if the JSON of a message is larger */
export function requireBytes(json: string, mostBytes: number): void {
  // UTF-8 has three bytes for a UTF-16 code unit at most.
  if (json.length * 3 <= mostBytes) return;
  const bytes = Buffer.byteLength(json);
  if (bytes <= mostBytes) return;
  const message = `${bytes} bytes in the queue, where JSON escapes some characters; the limit is ${mostBytes}. Send the text as an attachment`;
  throw invalidMessage([{ field: '', rule: 'too-large', message }]);
}

export function invalidMessage(issues: readonly Issue[]): PostlaneError {
  const named = issues
    .slice(0, maxNamed)
    .map(({ field, message }) => `${field === '' ? 'message' : field}: ${message}`);
  const more = issues.length > maxNamed ? ` (and ${issues.length - maxNamed} more in \`issues\`)` : '';
  const text = `The message is not valid: ${named.join('; ')}${more}`;
  return new PostlaneError('message-invalid', text, { issues });
}
