/** What is still there of a message's content: kept after it was sent, in its dead letter, or in the queue where it waits. */
import { keyMissing, printable } from '../errors.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { parseMessage } from '../message/schema.ts';
import { verdictOf } from '../queue/bullmq/job-reader.ts';
import { isShallow, jobIdOf, openData } from '../queue/jobs.ts';
import type { Sealing } from '../sealing/sealing.ts';
import type { OpenQueues } from '../queue/open.ts';
import { intakeJob } from '../queue/waiting.ts';

export interface MessageContent {
  /** In its normal form; attachments above 64 KiB are references. */
  readonly message: Message;
  /** `kept`: after it was sent (`retention.content`). `dead-letter`: for its dead recipients alone. `queue`: it waits. */
  readonly where: 'kept' | 'dead-letter' | 'queue';
}

/**
 * null if nothing is there, or nothing that can be read.
 *
 * @throws PostlaneError `key-missing` if it is sealed with a key that is not here
 */
export async function contentOf(id: string, open: OpenQueues, limits: MessageLimits): Promise<MessageContent | null> {
  const waiting = await intakeJob(open, id);
  const read = (data: unknown, where: MessageContent['where']): MessageContent | null =>
    contentIn(data, id, limits, where, open.sealing());
  if (waiting !== null && verdictOf(waiting) === null) {
    const found = read(waiting.data, 'queue');
    if (found !== null) return found;
  }
  const connector = (await open.ledger.read(id))?.connector ?? null;
  const routed = connector === null ? null : await open.jobs.job(open.lanes.queue(connector), jobIdOf(id));
  if (routed !== null && verdictOf(routed) === null) {
    const found = read(routed.data, 'queue');
    if (found !== null) return found;
  }
  const kept = await open.keptContent(id);
  if (kept !== null) return read(parsed(kept), 'kept');
  const letter = await open.deadLetters.get(id);
  return letter === null || letter.form !== 'json' ? null : read(letter.data, 'dead-letter');
}

/** A message like it, that names it: without its id and its times. */
export function again(id: string, message: Message): OutboundMessage {
  const { id: _id, sendAt: _sendAt, expiresAt: _expiresAt, metadata, ...rest } = message;
  return { ...rest, metadata: { ...metadata, resendOf: id } };
}

function contentIn(
  data: unknown,
  id: string,
  limits: MessageLimits,
  where: MessageContent['where'],
  sealing: Sealing,
): MessageContent | null {
  if (typeof data !== 'object' || data === null || !isShallow(data)) return null;
  const opened = openData(data, id, sealing);
  if (opened.kind === 'key-missing') throw keyMissing(`The content of "${printable(id, 130)}"`, opened.key, id);
  if (opened.kind === 'damaged') return null;
  const { message } = opened.data as { readonly message?: unknown };
  if (typeof message !== 'object' || message === null) return null;
  const read = parseMessage({ ...message, id }, limits);
  return read.ok ? { message: read.message, where } : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
