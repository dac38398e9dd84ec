/** What becomes of a stored body when everything is sealed anew: other data in its place, or why it stays as it is. */
import { unreachable } from '../errors.ts';
import type { MessageLimits } from '../message/message.ts';
import {
  decodeIntake,
  decodeLane,
  encodeWire,
  idOfJob,
  intakeMessageId,
  isNewer,
  isSealedData,
  isShallow,
  jobIdOf,
  maxDataBytesOf,
  resealData,
  sealData,
  sealedIn,
} from '../queue/jobs.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { StoredBody } from '../queue/stored-bodies.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { sealedLetterIn } from './doctor/sealed.ts';
import type { Why } from './rekey-tally.ts';

export type Place = 'intake' | 'lane' | 'letter' | 'kept';

export type Judged =
  /** The key that seals has sealed it; or it is no message, and is set aside by a worker that sees it. */
  | { readonly kind: 'same' }
  /** `key`: that has sealed it; null: none. */
  | (About & { readonly kind: 'replace'; readonly data: string; readonly form: string })
  | (About & { readonly kind: 'left'; readonly why: Why });

interface About {
  readonly key: string | null;
  /** Of the message. */
  readonly id: string;
}

const same: Judged = { kind: 'same' };

/** `name`: of the job, or of the message of a dead letter or a kept job. */
export function judgeBody(
  place: Place,
  name: string,
  body: StoredBody,
  open: Pick<OpenQueues, 'sealing' | 'resealLetter'>,
  limits: MessageLimits,
): Judged {
  if (place === 'letter') return judgeLetter(name, body, open);
  const id = place === 'kept' ? jobIdOf(name) : name;
  const data = fromJson(body.data);
  const sealing = open.sealing();
  if (!isSealedData(data)) return judgePlain(place, id, data, body, sealing, limits);
  const sealed = sealedIn(data);
  if (sealed === null) return same;
  const message = place === 'intake' ? intakeIdOf(id, body, data) : idOfJob(id);
  const resealed = resealData(data, message, sealing);
  switch (resealed.kind) {
    case 'same':
      return same;
    case 'sealed':
      return { kind: 'replace', id: message, key: sealed.k, data: JSON.stringify(resealed.data), form: '' };
    case 'key-missing':
    case 'damaged':
      return { kind: 'left', id: message, key: sealed.k, why: resealed.kind };
    default:
      return unreachable(resealed);
  }
}

function judgeLetter(id: string, body: StoredBody, open: Pick<OpenQueues, 'resealLetter'>): Judged {
  const key = sealedLetterIn(body.form, body.data)?.k ?? null;
  const resealed = open.resealLetter(id, body);
  switch (resealed.kind) {
    case 'same':
      return same;
    case 'sealed':
      return { kind: 'replace', id, key: resealed.key, data: resealed.data, form: resealed.form };
    case 'key-missing':
      return { kind: 'left', id, key: resealed.key, why: 'key-missing' };
    case 'damaged':
      return { kind: 'left', id, key, why: 'damaged' };
    default:
      return unreachable(resealed);
  }
}

/**
 * A plain job is judged as its worker would: what is no message, or names a content that is sealed, must not become one by being sealed.
 * It stays for the worker, who sets it aside.
 */
function judgePlain(
  place: Exclude<Place, 'letter'>,
  id: string,
  data: unknown,
  { timestamp, routing }: StoredBody,
  sealing: Sealing,
  limits: MessageLimits,
): Judged {
  if (isNewer(data) || !isShallow(data)) return same;
  const inLane = place !== 'intake';
  const whole = inLane && routing === '' ? decodeLane(id, data, limits, sealing) : null;
  const sealed = ((): object | null => {
    if (whole !== null) return whole.ok ? sealData(whole.job, whole.job.id, sealing) : null;
    const decoded = decodeIntake(id, timestamp, data, limits, sealing);
    if (!decoded.ok) return null;
    const { id: own, message, by, via } = decoded.job;
    return sealData(encodeWire({ ...message, id: own }, { by, via }), own, sealing);
  })();
  if (sealed === null) return same;
  // Only what has a key may enter then.
  if (place === 'intake' && sealing.required) return { kind: 'left', id, key: null, why: 'refused' };
  const text = JSON.stringify(sealed);
  // Its worker would cut it; from the intake it enters its lane sealed, where more is allowed.
  if (Buffer.byteLength(text) > maxDataBytesOf(limits, inLane))
    return { kind: 'left', id, key: null, why: 'too-large' };
  return { kind: 'replace', id, key: null, data: text, form: '' };
}

function intakeIdOf(jobId: string, { timestamp }: StoredBody, data: unknown): string {
  const { message } = data as { readonly message?: { readonly id?: unknown } | null };
  const named = message?.id;
  return intakeMessageId(jobId, timestamp, typeof named === 'string' ? named : null);
}

/** What comes out of Redis may be anything. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
