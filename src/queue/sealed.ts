/**
 * Sealed data of jobs (`v` 2): what is routed, scheduled and counted by stays readable, the rest is one sealed text.
 *
 * An envelope can be made narrower by who has no key (a replay for the recipients that are left). It cannot be given other recipients:
 * whom a message may go to is sealed with it.
 */
import type { Issue } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { openSealed, readSealed, type Sealed } from '../sealing/seal.ts';
import type { Sealing } from '../sealing/sealing.ts';

/** The version of data that is sealed. */
export const sealedVersion = 2;

type Fields = Readonly<Record<string, unknown>>;

/** Data with a message that was validated. */
interface PlainData {
  readonly v: 1;
  readonly message: object;
}

export type OpenedData =
  | { readonly kind: 'open'; readonly data: unknown }
  /** `key`: its name. */
  | { readonly kind: 'key-missing'; readonly key: string }
  /** It is not what was sealed. */
  | { readonly kind: 'damaged'; readonly issue: Issue };

/** What of a message stays readable; of `from` the address alone. */
const readable = ['id', 'envelope', 'priority', 'sendAt', 'expiresAt'] as const;

/** The data with its message sealed; as it is if this process seals nothing, or if it is sealed. */
export function sealData<Data extends PlainData>(data: Data, id: string, { seal }: Sealing): Data | Fields {
  if (seal === null || isSealedData(data)) return data;
  const { message, ...beside } = data;
  const { from, envelope, ...rest } = message as Fields;
  const open: Record<string, unknown> = {};
  for (const field of readable) if (field !== 'envelope' && rest[field] !== undefined) open[field] = rest[field];
  const address = addressOf(from);
  const { from: sender, to } = fieldsOf(envelope);
  const closed: Record<string, unknown> = { ...rest };
  for (const field of readable) delete closed[field];
  const { name } = fieldsOf(from);
  if (name !== undefined) closed['fromName'] = name;
  if (sender !== undefined && sender !== address) closed['envelopeFrom'] = sender;
  const named = recipientsIn(closed);
  const others = listOf(to).filter((each) => !named.has(each));
  if (others.length > 0) closed['envelopeTo'] = others;
  const text = JSON.stringify(closed);
  const sealed = seal({ id, from: address }, text);
  return {
    ...beside,
    v: sealedVersion,
    message: { ...open, ...(address === '' ? {} : { from: { address } }), envelope },
    size: Math.floor((sealed.c.length * 3) / 4),
    hasAttachments: listOf(rest['attachments']).length > 0,
    sealed,
  };
}

export type Resealed =
  | { readonly kind: 'sealed'; readonly data: unknown }
  /** The key that seals has sealed it. */
  | { readonly kind: 'same' }
  | Exclude<OpenedData, { readonly kind: 'open' }>;

/** Sealed data, sealed anew with the key that seals now. It needs no judgement: with its text, a key has said that it is a message. */
export function resealData(data: unknown, id: string, sealing: Sealing): Resealed {
  const found = sealedIn(data);
  if (found !== null && found.f === sealing.keyring.sealing?.print) return { kind: 'same' };
  const opened = openData(data, id, sealing);
  return opened.kind === 'open' ? { kind: 'sealed', data: sealData(opened.data as PlainData, id, sealing) } : opened;
}

export function isSealedData(data: unknown): boolean {
  return fieldsOf(data)['v'] === sealedVersion;
}

/** The sealed text in data; null if there is none, or none of this form. */
export function sealedIn(data: unknown): Sealed | null {
  return isSealedData(data) ? readSealed(fieldsOf(data)['sealed']) : null;
}

/** Data in the form that is not sealed. What is not sealed is as it was. */
export function openData(data: unknown, id: string, { keyring }: Sealing): OpenedData {
  if (!isSealedData(data)) return { kind: 'open', data };
  const { sealed, message, size: _size, hasAttachments: _has, ...beside } = fieldsOf(data);
  const found = readSealed(sealed);
  if (found === null) return damaged('sealed', 'is not of the form of a sealed text');
  const open = fieldsOf(message);
  const from = addressOf(open['from']);
  const opened = openSealed(found, { id, from }, keyring);
  if (opened.kind === 'key-missing') return opened;
  if (opened.kind === 'damaged') {
    return damaged('sealed', 'does not belong to this message, or was changed after it was sealed');
  }
  return merge(open, from, opened.text, beside);
}

function merge(open: Fields, from: string, text: string, beside: Fields): OpenedData {
  const { fromName, envelopeFrom, envelopeTo, ...closed } = fieldsOf(parsed(text));
  const envelope = fieldsOf(open['envelope']);
  const allowed = recipientsIn(closed);
  for (const each of listOf(envelopeTo)) allowed.add(each);
  const to = envelope['to'];
  if (!Array.isArray(to) || !to.every((each) => allowed.has(each))) {
    return damaged('envelope.to', 'names who is not among the recipients that were sealed with the message');
  }
  if ((envelope['from'] ?? from) !== (envelopeFrom ?? from)) {
    return damaged('envelope.from', 'is not the sender that was sealed with the message');
  }
  const message: Record<string, unknown> = { ...closed };
  for (const field of readable) if (open[field] !== undefined) message[field] = open[field];
  if (from !== '') message['from'] = { ...(fromName === undefined ? {} : { name: fromName }), address: from };
  return { kind: 'open', data: { ...beside, v: 1, message } };
}

/** Who can write to Redis sees the references of contents there: a job of theirs must not have a worker open one and send it to them. */
export function namesSealed({ attachments, raw }: Pick<Message, 'attachments' | 'raw'>): boolean {
  return [...attachments, raw].some((each) => each !== undefined && 'ref' in each && each.ref.startsWith('s'));
}

export const sealedContent: Issue = {
  field: 'attachments',
  rule: 'sealed',
  message: 'names a content that is sealed, in a job that is not',
};

/** Sealed data for some of its recipients. */
export function narrowed(data: unknown, to: readonly string[]): unknown {
  const message = fieldsOf(fieldsOf(data)['message']);
  const envelope = { ...fieldsOf(message['envelope']), to };
  return { ...fieldsOf(data), message: { ...message, envelope } };
}

/** The addresses that a message names in To, Cc and Bcc. */
function recipientsIn(message: Fields): Set<unknown> {
  const addresses = new Set<unknown>();
  for (const field of ['to', 'cc', 'bcc'])
    for (const each of listOf(message[field])) addresses.add(fieldsOf(each)['address']);
  return addresses;
}

function damaged(field: string, message: string): OpenedData {
  return { kind: 'damaged', issue: { field, rule: 'sealed', message } };
}

function addressOf(from: unknown): string {
  const { address } = fieldsOf(from);
  return typeof address === 'string' ? address : '';
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** It is authentic, so it is JSON; a client in another language may be wrong about that. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
