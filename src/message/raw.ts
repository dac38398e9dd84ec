/** Reads who sends and who receives a finished message, from its header. */
import { parseMailboxList, type Parsed } from './address.ts';
import { readSafeHeader, type HeaderBlock } from './header-block.ts';
import type { Mailbox } from './message.ts';

export { headBytes } from './header-block.ts';

/** A tenth of a second of reading. `message.maxRecipients` is far less in any installation. */
const mostAddresses = 10_000;

/** What a raw message says of its sender and its recipients; each can be unreadable by itself. */
export interface RawHeader {
  /** First mailbox of From; null without that field. */
  readonly from: Parsed<Mailbox | null>;
  /** All mailboxes that say who sends: From, Sender, and both of a resent message. */
  readonly senders: Parsed<readonly Mailbox[]>;
  /** All of To, Cc and Bcc. */
  readonly recipients: Parsed<readonly Mailbox[]>;
  /** The Message-ID field's value, with its angle brackets; null without that field. */
  readonly messageId: string | null;
}

/** The Message-ID that a raw message brings along. '': one that is not of the usual form. null: none, so it gets one. */
export function ownMessageId({ messageId }: RawHeader): string | null {
  if (messageId === null || messageId === '') return null;
  return /^<[^<>\s]{1,990}>/.exec(messageId)?.[0] ?? '';
}

/** Header text for reading: UTF-8 if it is that (RFC 6532), else latin1. */
function headerText(value: string): string {
  const utf8 = Buffer.from(value, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? value : utf8;
}

function readList(
  fields: HeaderBlock['fields'],
  names: readonly string[],
  maxAddresses: number,
): Parsed<readonly Mailbox[]> {
  const mailboxes: Mailbox[] = [];
  let signs = 0;
  for (const field of fields) {
    if (!names.includes(field.name.toLowerCase())) continue;
    // One @ an address, or two if it stands in its name as well: counting them is a thousandth of reading them.
    signs += field.value.split('@', 2 * maxAddresses + 2).length - 1;
    if (signs > 2 * maxAddresses) return { ok: false, problem: `names more than ${maxAddresses} recipients` };
    const parsed = parseMailboxList(headerText(field.value));
    if (!parsed.ok) return { ok: false, problem: `has a ${field.name} field that ${parsed.problem}` };
    for (const mailbox of parsed.value) mailboxes.push(mailbox);
  }
  return { ok: true, value: mailboxes };
}

/**
 * Reads the header block of a raw message, and refuses one that different programs would read differently: NUL or bare CR
 * in it, lines that are no fields, two From fields.
 * More than `maxAddresses` recipients are not read.
 */
export function readRawHeader(bytes: Buffer, maxAddresses = mostAddresses): Parsed<RawHeader> {
  const { fields, problem } = readSafeHeader(bytes);
  if (problem !== null) return { ok: false, problem };
  const from = readList(fields, ['from'], maxAddresses);
  return {
    ok: true,
    value: {
      from: from.ok ? { ok: true, value: from.value[0] ?? null } : from,
      // Only on demand, as few callers ask.
      get senders() {
        return readList(fields, ['from', 'sender', 'resent-from', 'resent-sender'], maxAddresses);
      },
      // Only on demand: there may be thousands.
      get recipients() {
        return readList(fields, ['to', 'cc', 'bcc'], maxAddresses);
      },
      messageId: fields.find((field) => field.name.toLowerCase() === 'message-id')?.value ?? null,
    },
  };
}
