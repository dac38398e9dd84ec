/** Reads one mail: what kind it is, which mail it is about, and what it says of each recipient. Pure and bounded; any bytes are an answer. */
import { decodeEncodedWords } from '../message/encoded-words.ts';
import { maxLineChars, maxRecipients } from './bounds.ts';
import { addressesIn, firstAddress, recipientOf } from './addresses.ts';
import { valueOf, type Field } from './fields.ts';
import {
  isAboutDelivery,
  isAutoReply,
  isByAutoresponder,
  isComplaint,
  isComplaintSubject,
  isDelay,
  isFromMailSystem,
  isFromNoReply,
  isListPost,
} from './kind.ts';
import { divided, linesOf, plainText, type Notice } from './notice.ts';
import { isIntroduced, readEntries } from './notice-entries.ts';
import { readParts, type Part } from './parts.ts';
import { judged, type Action, type ReportedRecipient } from './recipient.ts';
import { headerOf, idsIn, idsOfHeader, idsOfStatus, unique, type Clues } from './returned.ts';
import { sesNotification, type SesNotification } from './ses-notification.ts';
import { readStatus, type StatusRecipient } from './status-fields.ts';

export { maxReadBytes } from './bounds.ts';

/** `report`: a recipient failed; `delay`: some are delayed, none failed; `delivered`: all arrived or went on. */
type ReportKind = 'report' | 'delay' | 'delivered' | 'complaint' | 'auto-reply' | 'other';

export interface Report {
  readonly kind: ReportKind;
  /** Of the mail that was sent, without angle brackets; null if the report does not say, or names several mails. */
  readonly messageId: string | null;
  readonly recipients: readonly ReportedRecipient[];
  readonly clues: Clues;
  /** Of a complaint that does not say who complains: it is the first of the returned mail's To, or there are several who may. */
  readonly isGuess?: boolean;
}

/** A mail with what its readers need of it. */
interface Reading {
  readonly header: readonly Field[];
  readonly subject: string;
  readonly notice: Notice;
  /** The headers of the returned mails. */
  readonly returned: readonly (readonly Field[])[];
  readonly failedRecipients: readonly string[];
  /** The addresses of the report itself, in lower case. */
  readonly own: ReadonlySet<string>;
  /** Address in lower case → as the sender wrote it in the returned mail, as servers change the case of letters. */
  readonly spellings: ReadonlyMap<string, string>;
  readonly isDsn: boolean;
}

const returnedTypes = /^(?:message\/(?:rfc822|global|rfc822-headers?|global-headers)|text\/rfc822(?:-headers?)?)$/;

export async function readReport(mail: Uint8Array): Promise<Report> {
  const root = await readParts(mail);
  const leaves = leavesOf(root);
  const header = root.fields;
  // A mail system may answer to a list, and the list passes it on.
  if (isListPost(header) && !isFromMailSystem(header)) return nothing('other');
  const feedback = leaves.find(({ type }) => type === 'message/feedback-report');
  const reading = readingOf(root, leaves);
  const notification = sesNotification(valueOf(header, 'from'), leaves.length === 1 ? (leaves[0]?.text ?? '') : '');
  if (notification !== null) return notified(notification, reading);
  if (feedback !== undefined) return complaint(feedback, reading);
  const reporter = reading.returned[0]?.find(({ name }) => name === 'x-hmxmroriginalrecipient');
  if (reporter !== undefined && isComplaintSubject(reading.subject)) return complainedBy(reporter.value, reading);
  if (leaves.some(({ type }) => /^message\/(?:global-)?disposition-notification$|tlsrpt/.test(type))) {
    return nothing('other');
  }
  const statuses = leaves.filter(({ type }) => /^message\/(?:global-)?delivery-status$/.test(type));
  const lines = statuses.flatMap(({ text }) => [...linesOf(text), '']);
  const status = readStatus(lines);
  if (status.recipients.length > 0) return fromStatus(status.message, status.recipients, reading);
  return fromText(reading, status.message);
}

function leavesOf(part: Part): Part[] {
  return part.parts.length === 0 ? [part] : part.parts.flatMap(leavesOf);
}

function readingOf(root: Part, leaves: readonly Part[]): Reading {
  const header = root.fields;
  const plain = leaves.find(({ type, text }) => type === 'text/plain' && text.trim() !== '');
  const html = leaves.find(({ type }) => type === 'text/html');
  const text = plain?.text ?? (html === undefined ? '' : plainText(html.text));
  const own = header
    .filter(({ name }) => /^(?:from|to|sender|reply-to|return-path|delivered-to|envelope-to|x-original-to)$/.test(name))
    .flatMap(({ value }) => addressesIn(value).map(({ address }) => address.toLowerCase()));
  const returned = leaves.filter(({ type }) => returnedTypes.test(type)).map((part) => headerOf(linesOf(part.text)));
  const written = returned
    .flatMap((fields) => fields.filter(({ name }) => name === 'to' || name === 'cc'))
    .flatMap(({ value }) => addressesIn(value));
  return {
    header,
    subject: decodeEncodedWords(valueOf(header, 'subject')),
    notice: divided(linesOf(text)),
    returned,
    failedRecipients: header
      .filter(({ name }) => name === 'x-failed-recipients')
      .flatMap(({ value }) => addressesIn(value).map(({ address }) => address))
      .slice(0, maxRecipients),
    own: new Set(own),
    spellings: new Map(written.map(({ address }) => [address.toLowerCase(), address])),
    isDsn:
      /^multipart\/report/i.test(root.contentType) && /report-type\s*=\s*"?delivery-status/i.test(root.contentType),
  };
}

function complaint(feedback: Part, reading: Reading): Report {
  const fields = headerOf(linesOf(feedback.text));
  if (!isComplaint(valueOf(fields, 'feedback-type'))) return nothing('other');
  const named = firstAddress(valueOf(fields, 'original-rcpt-to', 'removal-recipient'));
  const to = reading.returned[0]?.find(({ name }) => name === 'to')?.value ?? '';
  return named === null ? { ...complainedBy(to, reading), isGuess: true } : complainedBy(named, reading);
}

function notified({ kind, message, recipients, feedbackType }: SesNotification, reading: Reading): Report {
  if (kind !== 'complaint') {
    return recipients.length === 0 ? nothing('other') : fromStatus(message, recipients, { ...reading, notice: silent });
  }
  if (!isComplaint(feedbackType)) return nothing('other');
  const rows = recipients.map(({ final }) => complainant(firstAddress(final)));
  // SES names all recipients at the domain that complained; which of them did, it is not told.
  const isGuess = rows.length > 1;
  return { kind, recipients: rows, ...identify({ ...reading, notice: silent }, message, []), isGuess };
}

const silent: Notice = { lines: [], copy: [] };

/** Outlook.com names the reader who complained in a field of the returned mail. */
function complainedBy(address: string, reading: Reading): Report {
  const { messageId, clues } = identify(reading, [], []);
  return { kind: 'complaint', messageId, recipients: [complainant(firstAddress(address))], clues };
}

function complainant(recipient: string | null): ReportedRecipient {
  return { recipient, action: null, status: null, smtpCode: null, permanent: null, diagnostic: null };
}

function fromStatus(message: readonly Field[], all: readonly StatusRecipient[], reading: Reading): Report {
  const probes = all.filter(({ action }) => action === 'probe');
  if (probes.length === all.length) return nothing('other');
  const fallback: Action = isDelay(reading.subject, textOf(reading.notice)) ? 'delayed' : 'failed';
  const finals = all.flatMap(({ final }) => recipientOf(final) ?? []);
  const named = new Set([...reading.failedRecipients, ...finals].map((address) => address.toLowerCase()));
  const { entries, common } = readEntries(reading.notice.lines, { own: new Set(), recipients: named });
  const byAddress = new Map(entries.map((entry) => [entry.address.toLowerCase(), entry]));
  const only = all.length === 1 && entries.length === 1 ? entries[0] : undefined;
  const recipients = all.flatMap((said) => {
    if (said.action === 'probe') return [];
    const final = recipientOf(said.final);
    const entry = (final === null ? undefined : byAddress.get(final.toLowerCase())) ?? only;
    const failed = all.length === 1 && reading.failedRecipients.length === 1 ? reading.failedRecipients[0] : undefined;
    const recipient = recipientOf(said.original) ?? entry?.original ?? failed ?? final ?? entry?.address ?? null;
    return judged({
      recipient: recipient === null ? null : spelled(recipient, reading),
      action: said.action ?? fallback,
      status: said.status,
      reason: reasonOf(said, entry?.reason ?? ''),
      smtpCode: said.smtpCode,
      notice: common,
    });
  });
  return { kind: kindOf(recipients), recipients: once(recipients), ...identify(reading, message, []) };
}

/** The server's own words come first; a comment beside the status comes last. */
function reasonOf({ diagnostic, smtpCode, statusText }: StatusRecipient, text: string): string {
  const all = smtpCode === null ? [diagnostic, text, statusText] : [diagnostic, statusText, text];
  return all.find((each) => each !== '') ?? '';
}

/** A report without a status part that can be read: the text has all. */
function fromText(reading: Reading, message: readonly Field[]): Report {
  const { header, notice, returned, subject, failedRecipients, isDsn, own } = reading;
  const isSystem =
    (isFromMailSystem(header) || isReturnedBySomeProgram(reading)) && !isByAutoresponder(header, subject);
  const isAbout = isAboutDelivery(subject);
  const hasCopy = returned.length > 0 || notice.copy.length > 0;
  const isFailure = hasCopy || isIntroduced(notice.lines);
  if (!(isDsn || failedRecipients.length > 0 || (isSystem && (isAbout || isFailure)))) {
    return nothing(isAutoReply(header, subject) ? 'auto-reply' : 'other');
  }
  const action: Action = isDelay(subject, textOf(notice)) ? 'delayed' : 'failed';
  const named = new Set(failedRecipients.map((address) => address.toLowerCase()));
  const { entries, common } = readEntries(notice.lines, { own, recipients: named });
  const embedded = isDsn || entries.length === 0 ? statusInText(reading) : null;
  if (embedded !== null) return embedded;
  const all =
    entries.length > 0 ? entries : failedRecipients.map((address) => ({ address, original: null, reason: '' }));
  const recipients = all.map(({ address, original, reason }) =>
    judged({
      recipient: spelled(original ?? address, reading),
      action,
      reason,
      notice: common,
    }),
  );
  // A mail system that says nothing of a failure and names no recipient may write about anything.
  if (recipients.length === 0 && !isDsn && !(isAbout && isFailure))
    return nothing(isAutoReply(header, subject) ? 'auto-reply' : 'other');
  return { kind: kindOf(recipients, action), recipients, ...identify(reading, message, notice.copy) };
}

/** From an address that is not read, to the sender of the mail that it returns, with a sentence that names the recipient (KDDI). */
function isReturnedBySomeProgram({ header, returned, notice, own }: Reading): boolean {
  if (!isFromNoReply(header)) return false;
  const senders = returned
    .flatMap((fields) => fields.filter(({ name }) => name === 'from' || name === 'return-path'))
    .flatMap(({ value }) => addressesIn(value).map(({ address }) => address.toLowerCase()));
  return senders.some((address) => own.has(address)) && isIntroduced(notice.lines);
}

/** The fields of a status as text: WorkMail writes them so, and some servers put a whole report into the text of another. */
function statusInText(reading: Reading): Report | null {
  const lines = [...reading.notice.lines, ...reading.notice.copy];
  const from = lines.findIndex((line) => /^(?:reporting-mta|(?:final|original)-recipient)\s*:/i.test(line));
  if (from < 0) return null;
  const length = lines.slice(from).findIndex((line) => /^--\S/.test(line));
  const to = length < 0 ? lines.length : from + length;
  const status = readStatus(lines.slice(from, to));
  if (status.recipients.length === 0) return null;
  const below = divided(['', ...lines.slice(to)]).copy;
  const copy = below.length > 0 ? below : reading.notice.copy;
  return fromStatus(status.message, status.recipients, { ...reading, notice: { lines: lines.slice(0, from), copy } });
}

/** Which mail: what was returned says it best, then the status, then the text, then what the report answers to. */
function identify(
  { header, returned, notice }: Reading,
  message: readonly Field[],
  copy: readonly string[],
): { readonly messageId: string | null; readonly clues: Clues } {
  const perMail = returned.map(idsOfHeader).filter((ids) => ids.length > 0);
  const ofStatus = idsOfStatus(message);
  const ofText = returned.length > 0 && copy.length === 0 ? [] : idsInCopy(copy.length > 0 ? copy : notice.copy);
  const thread = ['in-reply-to', 'references'].flatMap((name) =>
    header.filter((field) => field.name === name).flatMap(({ value }) => idsIn(value).toReversed()),
  );
  const isAmbiguous = new Set(perMail.map(([first]) => first)).size > 1;
  const likely = ofStatus.envelopeIds.find((id) => /^[^\s<>@]+@[^\s<>@]+$/.test(id));
  const sure = unique([...perMail.flat(), ...ofStatus.messageIds, ...ofText]);
  return {
    messageId: isAmbiguous ? null : (sure[0] ?? likely ?? thread[0] ?? null),
    clues: {
      messageIds: sure,
      threadIds: unique(thread),
      envelopeIds: ofStatus.envelopeIds,
      queueIds: ofStatus.queueIds,
      sentTo: unique(
        header
          .filter(({ name }) => /^(?:to|delivered-to|envelope-to|x-original-to|x-envelope-to)$/.test(name))
          .flatMap(({ value }) => addressesIn(value).map(({ address }) => address)),
      ),
    },
  };
}

function idsInCopy(copy: readonly string[]): string[] {
  const at = copy.findIndex((line) => /^\s{0,8}(?:x-microsoft-original-|x-original-)?message-id\s*:/i.test(line));
  return at < 0 ? [] : idsOfHeader(headerOf(copy.slice(at)));
}

function nothing(kind: ReportKind): Report {
  return { kind, messageId: null, recipients: [], clues: noClues };
}

const noClues: Clues = { messageIds: [], threadIds: [], envelopeIds: [], queueIds: [], sentTo: [] };

function spelled(address: string, { spellings }: Reading): string {
  return spellings.get(address.toLowerCase()) ?? address;
}

/** As much as is needed to see what it is about. */
function textOf({ lines }: Notice): string {
  return lines.join(' ').slice(0, maxLineChars);
}

function kindOf(recipients: readonly ReportedRecipient[], unknown: Action = 'failed'): ReportKind {
  const actions = recipients.length === 0 ? [unknown] : recipients.map(({ action }) => action);
  if (actions.includes('failed')) return 'report';
  return actions.includes('delayed') ? 'delay' : 'delivered';
}

/** The same recipient with the same fate twice is one. */
function once(recipients: readonly ReportedRecipient[]): ReportedRecipient[] {
  const seen = new Set<string>();
  return recipients.filter(({ recipient, action }) => {
    const key = `${action} ${recipient?.toLowerCase()}`;
    if (recipient !== null && seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
