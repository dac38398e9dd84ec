/** The content of a dead letter as it is stored: in one of several forms, sealed where there is a key, opened where that key is. */
import { openSealed, readSealed, type Belonging } from '../../sealing/seal.ts';
import type { Sealing } from '../../sealing/sealing.ts';
import { isSealedData, openData, resealData, sealData, sealedIn, type Resealed } from '../sealed.ts';

/**
 * In which form a dead letter's data is kept. `json`: a value. What could not or must not be parsed is a string: `text`, as it was found;
 * `base64`, of bytes that are no UTF-8; `part` (of a text) and `part-base64`, the beginning of data that is too large to be kept.
 * What could not be sealed as a message is sealed as a whole, `sealed-` before its form.
 */
const plainForms = ['json', 'text', 'base64', 'part', 'part-base64'] as const;
type PlainForm = (typeof plainForms)[number];
const sealedPrefix = 'sealed-';
export type LetterForm = PlainForm | `sealed-${PlainForm}`;

/** The form of the content itself. Letters of earlier releases name none. */
export function plainFormOf(stored: string | null | undefined): string {
  return stored ? stored.replace(sealedPrefix, '') : 'json';
}

/** `data` is what a replay enqueues: the wire form, its envelope narrowed to the dead recipients; as it was found if it was invalid. */
export interface LetterContent {
  readonly data: unknown;
  readonly form: LetterForm;
  /** What `data` was parsed from, if it is to be kept as it was found; '' if that is gone. */
  readonly text?: string;
  /** `data` was opened: what it names is what was sealed, such as stored contents. */
  readonly wasSealed?: boolean;
  /** The key with which `data` is sealed still, as it is not here. */
  readonly keyMissing?: string;
}

/** How the data of a letter is stored: sealed, if there is a key. */
export function storedData(
  id: string,
  { form, text, data }: LetterContent,
  sealing: Sealing,
): { readonly data: string; readonly form: LetterForm } {
  const isFound = text !== undefined;
  const plain = form === 'json' ? text || (JSON.stringify(data) ?? 'null') : String(data);
  const { seal } = sealing;
  if (seal === null || form.startsWith(sealedPrefix)) return { data: plain, form };
  // What was found is sealed as a whole, also where it says that it is sealed: a stranger may have put anything beside that.
  if (form === 'json' && !isFound && sealedIn(data) !== null) return { data: plain, form };
  if (form === 'json' && !isFound && isWire(data)) return { data: JSON.stringify(sealData(data, id, sealing)), form };
  return { data: JSON.stringify(seal(wholeOf(id), plain)), form: `${sealedPrefix}${form as PlainForm}` };
}

function isWire(data: unknown): data is { readonly v: 1; readonly message: object } {
  const { v, message } = (data ?? {}) as { readonly v?: unknown; readonly message?: unknown };
  return v === 1 && typeof message === 'object' && message !== null && !Array.isArray(message);
}

/** No address has a blank outside of quotation marks, so no message can stand in the place of a letter. */
function wholeOf(id: string): Belonging {
  return { id, from: 'dead letter' };
}

/** The data of a letter as far as the keys that are here open it. */
export function readData(id: string, stored: string | undefined, text: string, sealing: Sealing): LetterContent {
  const form = plainForms.find((name) => name === plainFormOf(stored)) ?? 'json';
  if (stored?.startsWith(sealedPrefix) !== true) return readPlain(id, form, text, sealing);
  const as = `${sealedPrefix}${form}` as const;
  const sealed = readSealed(fromJson(text));
  const opened = sealed === null ? null : openSealed(sealed, wholeOf(id), sealing.keyring);
  if (opened?.kind === 'open') return readPlain(id, form, opened.text, sealing);
  return { data: text, form: as, ...(opened?.kind === 'key-missing' ? { keyMissing: opened.key } : {}) };
}

function readPlain(id: string, form: PlainForm, text: string, sealing: Sealing): LetterContent {
  if (form !== 'json') return { data: text, form };
  const data = fromJson(text);
  const opened = openData(data, id, sealing);
  if (opened.kind === 'open') return { data: opened.data, form, wasSealed: isSealedData(data) };
  return { data, form, ...(opened.kind === 'key-missing' ? { keyMissing: opened.key } : {}) };
}

export type LetterResealed =
  /** `key`: that had sealed it; null: none. */
  | { readonly kind: 'sealed'; readonly key: string | null; readonly data: string; readonly form: LetterForm }
  | Exclude<Resealed, { readonly kind: 'sealed' }>;

/**
 * The stored data of a letter, sealed with the key that seals now. What is sealed as a whole may be a job that was found sealed: then
 * both are.
 */
export function resealedLetter(id: string, stored: string, text: string, sealing: Sealing): LetterResealed {
  const form = plainForms.find((name) => name === plainFormOf(stored)) ?? 'json';
  const isWhole = stored.startsWith(sealedPrefix);
  const whole = isWhole ? readSealed(fromJson(text)) : null;
  const opened = whole === null ? null : openSealed(whole, wholeOf(id), sealing.keyring);
  if (isWhole && opened?.kind !== 'open') return opened?.kind === 'key-missing' ? opened : damagedLetter;
  const plain = opened?.kind === 'open' ? opened.text : text;
  const inner = form === 'json' || form === 'text' ? fromJson(plain) : null;
  const message = sealedIn(inner);
  const resealed = message === null ? null : resealData(inner, id, sealing);
  if (resealed?.kind === 'key-missing') return resealed;
  const isActive = whole !== null && whole.f === sealing.keyring.sealing?.print;
  const key = (isActive ? null : whole?.k) ?? message?.k ?? null;
  if (resealed === null || resealed.kind === 'damaged') {
    if (isActive) return { kind: 'same' };
    // What its key does not open is kept as it was found, and sealed as a whole.
    return { kind: 'sealed', key, ...sealedAnew(id, form, plain, isWhole || resealed !== null, sealing) };
  }
  if (resealed.kind === 'same' && (isActive || !isWhole)) return { kind: 'same' };
  const kept = resealed.kind === 'same' ? plain : JSON.stringify(resealed.data);
  return isWhole
    ? { kind: 'sealed', key, ...sealedAnew(id, form, kept, true, sealing) }
    : { kind: 'sealed', key, data: kept, form };
}

const damagedLetter: LetterResealed = {
  kind: 'damaged',
  issue: { field: 'data', rule: 'sealed', message: 'is not what was sealed' },
};

/** `isWhole`: as it was before; what is a message is sealed as one, which a replay needs no key for. */
function sealedAnew(
  id: string,
  form: PlainForm,
  plain: string,
  isWhole: boolean,
  sealing: Sealing,
): { readonly data: string; readonly form: LetterForm } {
  if (form !== 'json') return storedData(id, { form, data: plain }, sealing);
  return storedData(id, { form, data: fromJson(plain), ...(isWhole ? { text: plain } : {}) }, sealing);
}

/** What comes out of Redis may be anything. */
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
