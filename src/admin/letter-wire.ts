/** What a replay of a dead letter enqueues. A letter that was kept unread is parsed here, because an operator asked for it. */
import type { MessageLimits } from '../message/message.ts';
import {
  decodeIntake,
  encodeWire,
  isSealedData,
  isShallow,
  maxDataBytesOf,
  narrowed,
  sealData,
} from '../queue/jobs.ts';
import type { DeadLetter } from '../queue/ledger/dead-letters.ts';
import type { Sealing } from '../sealing/sealing.ts';

/**
 * null if there is nothing that could be enqueued: it is no JSON, is nested too deep, only a part of it was kept, or it is sealed as a
 * whole and its key is not here. A message that is sealed needs no key, unless it is too large for the intake so.
 */
export function wireOf(letter: DeadLetter, limits: MessageLimits, sealing: Sealing): unknown {
  const { id, acceptedAt, recipients, data, form, wasSealed = false } = letter;
  // What is nested too deep could not be written as JSON again, and the row would wait for a job that is in no queue.
  if (form === 'json') return isShallow(data) ? sealedAgain(letter, data, wasSealed, limits, sealing) : null;
  if (form !== 'text') return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(String(data));
  } catch {
    return null;
  }
  if (!isShallow(parsed)) return null;
  const decoded = decodeIntake(id, acceptedAt, parsed, limits, sealing);
  // Who has it must not get it again.
  const left = recipients.map(({ address }) => address);
  if (!decoded.ok && decoded.why === 'key-missing')
    return fitting(left.length === 0 ? parsed : narrowed(parsed, left), limits);
  // The router will say again what is wrong with it.
  if (!decoded.ok) return parsed;
  const { message } = decoded.job;
  const to = left.length === 0 ? message.envelope.to : left;
  const wire = encodeWire({ ...message, envelope: { ...message.envelope, to } });
  return sealedAgain(letter, wire, isSealedData(parsed), limits, sealing);
}

/** The router would cut what is larger, and a sealed text that is cut is lost. */
function fitting(sealed: unknown, limits: MessageLimits): unknown {
  return Buffer.byteLength(JSON.stringify(sealed)) <= maxDataBytesOf(limits, false) ? sealed : null;
}

/** What was opened is sealed again before it is enqueued. What is no message goes as it is: the router will say what is wrong with it. */
function sealedAgain(
  { id, acceptedAt }: DeadLetter,
  data: unknown,
  wasSealed: boolean,
  limits: MessageLimits,
  sealing: Sealing,
): unknown {
  if (isSealedData(data)) return fitting(data, limits);
  if (sealing.seal === null) return data;
  const decoded = decodeIntake(id, acceptedAt, data, limits, sealing, wasSealed);
  if (!decoded.ok) return data;
  const { message, by, via } = decoded.job;
  const sealed = sealData(encodeWire({ ...message, id }, { by, via }), id, sealing);
  // A third more: the queue would cut what is beyond its bound, so it goes as it is, and its worker seals it.
  return Buffer.byteLength(JSON.stringify(sealed)) <= maxDataBytesOf(limits, false) ? sealed : data;
}
