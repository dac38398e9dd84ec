/** What a message consists of, from wherever it is kept: its job, its dead letter. As input for a producer, to send it once more. */
import type { Message, MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { decodeIntake, decodeLane, jobIdOf } from '../queue/jobs.ts';
import { terminalStates } from '../queue/ledger/ledger.ts';
import { verdictOf } from '../queue/bullmq/job-reader.ts';
import type { OpenQueues } from '../queue/open.ts';
import { intakeJob } from '../queue/waiting.ts';
import { actionsOf, type ActionAnswer } from './message-actions.ts';

/** The message as it was accepted; null if its content is not there any more. Of a dead letter: for the recipients who do not have it. */
export async function messageContent(id: string, open: OpenQueues, limits: MessageLimits): Promise<Message | null> {
  const waiting = await intakeJob(open, id);
  if (waiting !== null && verdictOf(waiting) === null) {
    const decoded = decodeIntake(String(waiting.id), waiting.timestamp, waiting.data, limits);
    if (decoded.ok) return decoded.job.message;
  }
  const connector = (await open.ledger.read(id))?.connector ?? null;
  const routed = connector === null ? null : await open.jobs.job(open.lanes.queue(connector), jobIdOf(id));
  if (routed !== null && verdictOf(routed) === null) {
    const decoded = decodeLane(String(routed.id), routed.data, limits);
    if (decoded.ok) return decoded.job.message;
  }
  const letter = await open.deadLetters.get(id);
  if (letter === null || letter.form !== 'json') return null;
  const decoded = decodeIntake(id, letter.acceptedAt, letter.data, limits);
  return decoded.ok ? decoded.job.message : null;
}

/** A message like it, that names it: without its id and its times. */
export function again(id: string, message: Message): OutboundMessage {
  const { id: _id, sendAt: _sendAt, expiresAt: _expiresAt, metadata, ...rest } = message;
  return { ...rest, metadata: { ...metadata, resendOf: id } };
}

/** What may be done with a message now, and why not. null if its id is unknown. */
export async function readActions(id: string, open: OpenQueues): Promise<ActionAnswer[] | null> {
  const [row, letter] = await Promise.all([open.ledger.read(id), open.deadLetters.form(id)]);
  const waiting = row === null ? await intakeJob(open, id) : null;
  if (row === null && waiting === null && letter === null) return null;
  const scheduled = waiting !== null && waiting.delay > 0;
  const state = row?.state ?? (waiting === null ? 'dead' : scheduled ? 'scheduled' : 'queued');
  return actionsOf({
    state,
    recipients: row?.recipients ?? [],
    attemptOpen: row?.open !== null && row?.open !== undefined,
    setAside: row?.setAside ?? false,
    letter: letter === null ? null : { form: letter },
    hasContent: letter === 'json' || !terminalStates.has(state),
  });
}
