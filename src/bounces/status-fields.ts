/** The fields of a delivery status (RFC 3464 section 2), also where servers divide or indent them wrongly. */
import { maxRecipients } from './bounds.ts';
import { fieldsOf, typed, valueOf, withoutComments, type Field } from './fields.ts';
import type { Action } from './recipient.ts';

export interface StatusRecipient {
  readonly original: string;
  readonly final: string;
  /** `probe`: nothing was sent, an address was tried (Postfix, `sendmail -bv`). Null: the field is missing or says nothing known. */
  readonly action: Action | 'probe' | null;
  /** x.y.z, or null. */
  readonly status: string | null;
  /** `Status: 550 …`: some servers write the code of the reply. */
  readonly smtpCode: string | null;
  /** What the field Status says beside its code. */
  readonly statusText: string;
  readonly diagnostic: string;
}

export interface DeliveryStatus {
  /** What concerns the message: Original-Envelope-Id and the like. */
  readonly message: readonly Field[];
  readonly recipients: readonly StatusRecipient[];
}

const recipientFields = ['final-recipient', 'original-recipient'];
/** One of them a second time begins the next recipient, where no empty line does. */
const opening = [...recipientFields, 'action'];
const concerning = ['action', 'status', 'diagnostic-code', 'remote-mta', 'x-actual-recipient', ...recipientFields];

/** Fields of the message that each recipient is looked up in. */
const maxMessageFields = 100;

export function readStatus(lines: readonly string[]): DeliveryStatus {
  const message: Field[] = [];
  const records: Field[][] = [];
  for (const block of blocksOf(lines)) {
    for (const record of recordsOf(fieldsOf(block))) {
      const open = records.at(-1);
      const isNew = record.some(({ name }) => recipientFields.includes(name));
      if (isNew && records.length < maxRecipients) records.push(record);
      // An empty line within the fields of a recipient (SurfControl).
      else if (!isNew && open !== undefined) open.push(...record);
      else if (!isNew && message.length < maxMessageFields) message.push(...record.slice(0, maxMessageFields));
    }
  }
  return { message, recipients: records.map((record) => recipientIn([...record, ...message])) };
}

function blocksOf(lines: readonly string[]): string[][] {
  const blocks: string[][] = [[]];
  for (const line of lines) {
    if (line.trim() !== '') blocks.at(-1)?.push(line);
    else if (blocks.at(-1)?.length !== 0) blocks.push([]);
  }
  return blocks;
}

/** Most blocks are one record. Without an empty line, the fields of the message stand before those of the first recipient. */
function recordsOf(fields: readonly Field[]): Field[][] {
  const firstOwn = fields.findIndex(({ name }) => concerning.includes(name));
  const hasRecipient = fields.some(({ name }) => recipientFields.includes(name));
  const head = hasRecipient && firstOwn > 0 ? [fields.slice(0, firstOwn)] : [];
  const records: Field[][] = [[]];
  for (const field of hasRecipient ? fields.slice(Math.max(firstOwn, 0)) : fields) {
    const open = records.at(-1) ?? [];
    const isAgain = hasRecipient && opening.includes(field.name) && open.some(({ name }) => name === field.name);
    if (isAgain) records.push([field]);
    else open.push(field);
  }
  return [...head, ...records];
}

/** A field that the recipient lacks may stand with those of the message (Boxbe). */
function recipientIn(fields: readonly Field[]): StatusRecipient {
  const field = valueOf(fields, 'status');
  const status = /(?<![.\d])([245]\.\d{1,3}\.\d{1,3})(?![.\d])/.exec(withoutComments(field))?.[1] ?? null;
  return {
    original: valueOf(fields, 'original-recipient'),
    final: valueOf(fields, 'final-recipient'),
    action: actionOf(valueOf(fields, 'action')) ?? actionOfStatus(status),
    status,
    smtpCode: status === null ? (/^\s*([245]\d\d)\b/.exec(field)?.[1] ?? null) : null,
    statusText: field.replace(/^\s*[\d.]*\s*/, '').replace(/^\((.*)\)$/, '$1'),
    diagnostic: diagnosticOf(valueOf(fields, 'diagnostic-code')),
  };
}

function actionOf(value: string): Action | 'probe' | null {
  const word = /^[a-z]+/.exec(withoutComments(value).toLowerCase())?.[0] ?? '';
  if (word.startsWith('fail')) return 'failed';
  if (/^(?:delay|defer)/.test(word)) return 'delayed';
  if (word === 'deliverable' || word === 'undeliverable') return 'probe';
  if (word.startsWith('deliver') || word === 'success') return 'delivered';
  if (word.startsWith('relay')) return 'relayed';
  return word.startsWith('expand') ? 'expanded' : null;
}

function actionOfStatus(status: string | null): Action | null {
  if (status === null) return null;
  if (status.startsWith('2')) return 'delivered';
  return status.startsWith('5') ? 'failed' : null;
}

function diagnosticOf(value: string): string {
  const { type, value: text } = typed(value);
  return type === '' ? value : text;
}
