/** Makes a structured message of a mail's data: what nodemailer reads from each field, as the message schema has it. */
import { fullName, parseMailboxList } from '../message/address.ts';
import type { Mailbox } from '../message/message.ts';
import type { InlineAttachment, MailboxInput, OutboundMessage } from '../message/outbound.ts';
import { isDataUrl, isRecord, placeOf, plainText, readContent, typeOfDataUrl, type Reading } from './contents.ts';
import { mailError } from './failures.ts';
import { formsOf } from './forms.ts';
import type { NodemailerMail } from './mail.ts';
import { headerEntries } from './plan.ts';

type Data = Readonly<Record<string, unknown>>;

/** The mail field by field, with its contents read. Addresses are read here, as nodemailer takes several in one text. */
export async function structuredMessage(mail: NodemailerMail, reading: Reading): Promise<OutboundMessage> {
  const data = mail.data as Data;
  const { subject, inReplyTo, references } = data;
  return {
    ...addressesOf(data),
    ...(subject === undefined || subject === null ? {} : { subject: oneLine(subject) }),
    ...(await bodyOf('text', data, reading)),
    ...(await bodyOf('html', data, reading)),
    ...(await formsOf(data, reading)),
    attachments: await attachmentsOf(data['attachments'], reading),
    headers: headersOf(data),
    ...(typeof inReplyTo === 'string' ? { inReplyTo } : {}),
    ...(typeof references === 'string' || Array.isArray(references) ? { references: references as string[] } : {}),
    ...envelopeOf(mail),
  };
}

/** The envelope that the application gave; one that nodemailer made of the addresses is ours as well. */
export function envelopeOf({ data, message }: NodemailerMail): Pick<OutboundMessage, 'envelope'> {
  const given = (data as Data)['envelope'];
  if (!isRecord(given)) return {};
  const { from, to } = message.getEnvelope();
  // Without a sender of its own, the From address is the sender: an application that means the null sender says so.
  return { envelope: { ...(given['from'] === undefined ? {} : { from: from === false ? '' : from }), to } };
}

/** nodemailer has it in two places, and in the words of RFC 3461. The ids that reports repeat are Postlane's. */
export function dsnOf({ dsn, envelope }: Data): Pick<OutboundMessage, 'dsn'> {
  const given = dsn ?? (isRecord(envelope) ? envelope['dsn'] : undefined);
  if (!isRecord(given)) return {};
  const words = [given['notify'] ?? []].flat().map((each) => plainText(each).toLowerCase());
  const [first] = words;
  const whole = plainText(given['return'] || given['ret']).toLowerCase();
  // The message schema refuses what is none of its words.
  const notify = first === 'never' && words.length === 1 ? first : (words as 'success'[]);
  const returned = whole === 'hdrs' ? 'headers' : whole;
  return {
    dsn: {
      ...(first === undefined ? {} : { notify }),
      ...(returned === '' ? {} : { return: returned as 'headers' | 'full' }),
    },
  };
}

/** @throws PostlaneMailError `EENVELOPE`: what holds a line break, or no address, is refused in every mode. */
export function addressesOf(data: Data): Pick<OutboundMessage, 'from' | 'sender' | 'to' | 'cc' | 'bcc' | 'replyTo'> {
  const [from, ...others] = mailboxesOf('from', data['from']);
  if (others.length > 0) throw mailError('EENVELOPE', 'from: has more than one address');
  const [sender, ...more] = mailboxesOf('sender', data['sender']);
  if (more.length > 0) throw mailError('EENVELOPE', 'sender: has more than one address');
  return {
    from,
    ...(sender === undefined ? {} : { sender }),
    to: mailboxesOf('to', data['to']),
    cc: mailboxesOf('cc', data['cc']),
    bcc: mailboxesOf('bcc', data['bcc']),
    replyTo: mailboxesOf('replyTo', data['replyTo']),
  };
}

/** A text with any number of addresses, `{ name, address }`, or lists of both. What is no address is refused, not passed over. */
function mailboxesOf(field: string, given: unknown): MailboxInput[] {
  if (given === undefined || given === null || given === false || given === '') return [];
  if (Array.isArray(given)) return (given as unknown[]).flatMap((each) => mailboxesOf(field, each));
  if (isRecord(given)) {
    const { name, address } = given;
    if (typeof address !== 'string') throw mailError('EENVELOPE', `${field}: has an entry without an address`);
    return [typeof name === 'string' && name !== '' ? { name: oneLine(name), address } : { address }];
  }
  if (typeof given !== 'string') throw mailError('EENVELOPE', `${field}: must be text or { name, address }`);
  const parsed = parseMailboxList(given.trim(), fullName);
  if (!parsed.ok) throw mailError('EENVELOPE', `${field}: ${parsed.problem}`);
  return parsed.value.map((each: Mailbox) => each);
}

/** A header field has one line; nodemailer, too, makes a blank of a line break. */
function oneLine(value: unknown): string {
  return plainText(value)
    .replaceAll(/\r\n?|\n/g, ' ')
    .trim();
}

async function bodyOf(name: 'text' | 'html', data: Data, reading: Reading): Promise<{ [name]?: string }> {
  const content = await readContent(data[name], name, reading);
  return content.length === 0 ? {} : { [name]: content.toString() };
}

function headersOf(data: Data): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, values] of headerEntries(data['headers'])) {
    const texts = values.map(oneLine).filter((text) => text !== '');
    if (texts.length > 0) headers[name] = [...(headers[name] ?? []), ...texts];
  }
  if (typeof data['xMailer'] === 'string' && data['xMailer'] !== '') headers['X-Mailer'] = [oneLine(data['xMailer'])];
  return { ...headers, ...priorityHeaders[plainText(data['priority']).toLowerCase()] };
}

/** As nodemailer writes them. */
const priorityHeaders: Readonly<Record<string, Record<string, string[]>>> = {
  high: { 'X-Priority': ['1 (Highest)'], 'X-MSMail-Priority': ['High'], Importance: ['High'] },
  low: { 'X-Priority': ['5 (Lowest)'], 'X-MSMail-Priority': ['Low'], Importance: ['Low'] },
};

async function attachmentsOf(given: unknown, reading: Reading): Promise<InlineAttachment[]> {
  const attachments: InlineAttachment[] = [];
  // One after the other: several at once would only hold more in memory.
  for (const [index, each] of (Array.isArray(given) ? (given as unknown[]) : []).entries()) {
    if (isRecord(each)) attachments.push(await attachmentOf(each, `attachments[${index}]`, reading));
  }
  return attachments;
}

async function attachmentOf(given: Data, field: string, reading: Reading): Promise<InlineAttachment> {
  const place = placeOf(given);
  const isData = isDataUrl(place);
  const content = await readContent(given, field, reading);
  const contentType = plainText(given['contentType']) || (isData ? typeOfDataUrl(place) : '');
  // A backslash separates as well: the folders of a Windows path are not for the reader.
  const named = plainText(given['filename']) || (isData ? '' : (place.split(/[/\\]/).pop() ?? '').split('?')[0]);
  const { contentDisposition: disposition } = given;
  const cid = plainText(given['cid']);
  return {
    content,
    ...(named ? { filename: oneLine(named) } : {}),
    ...(contentType ? { contentType } : {}),
    ...(cid ? { cid } : {}),
    ...(disposition === 'attachment' || disposition === 'inline' ? { disposition } : {}),
  };
}
