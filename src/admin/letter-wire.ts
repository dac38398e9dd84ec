/** What a replay of a dead letter enqueues. A letter that was kept unread is parsed here, because an operator asked for it. */
import type { MessageLimits } from '../message/message.ts';
import { decodeIntake, encodeWire, isShallow } from '../queue/jobs.ts';
import type { DeadLetter } from '../queue/ledger/dead-letters.ts';

/** null if there is nothing that could be enqueued: it is no JSON, is nested too deep, or only a part of it was kept. */
export function wireOf(letter: DeadLetter, limits: MessageLimits): unknown {
  const { id, acceptedAt, recipients, data, form } = letter;
  // What is nested too deep could not be written as JSON again, and the row would wait for a job that is in no queue.
  if (form === 'json') return isShallow(data) ? data : null;
  if (form !== 'text') return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(String(data));
  } catch {
    return null;
  }
  if (!isShallow(parsed)) return null;
  const decoded = decodeIntake(id, acceptedAt, parsed, limits);
  // The router will say again what is wrong with it.
  if (!decoded.ok) return parsed;
  const { message } = decoded.job;
  // Who has it must not get it again.
  const to = recipients.length === 0 ? message.envelope.to : recipients.map(({ address }) => address);
  return encodeWire({ ...message, envelope: { ...message.envelope, to } });
}
