/**
 * Reads the Inbox of a mailbox through Microsoft Graph: a list of mails with their header first, then what may be a report. Goes by the
 * time at which mails came, and looks back a little each time, as Exchange may show a mail later than one that came after it.
 */
import { createHash } from 'node:crypto';
import { openInbox, type Inbox, type InboxFailure, type InboxMail, type InboxPage } from '../transport/graph/inbox.ts';
import type { GraphSettings } from '../transport/graph/settings.ts';
import { unreachable } from '../errors.ts';
import { maxFields, maxLineChars, maxReadBytes } from './bounds.ts';
import { mayBeReport } from './candidates.ts';
import { collapsed, valueOf, type Field } from './fields.ts';
import { goneOn, isHandled, parsePlace, placeText } from './graph-place.ts';
import { MailboxFailure, type Found, type MailSource, type ReadingOptions } from './source.ts';

/** Mails of one list: with their headers they fit into a mebibyte, or fewer are asked for. */
const mailsPerList = 25;
/** Lists of one reading; the next one goes on. */
const listsPerReading = 1_000;
/** Of Exchange's own reports, which have no header where the mail never left it. */
const exchangeItself = /^microsoftexchange[0-9a-f]{32}@/i;

export function createGraphSource(settings: GraphSettings, mailbox: string, now: () => number): MailSource {
  const inbox = openInbox(settings, mailbox, now);
  return {
    read: (options) => readFrom(inbox, options, now),
    async check(signal) {
      const page = { from: 0, skip: 0, count: 1, withHeader: false };
      const list = await inbox.list(page, signal);
      if (list.kind === 'failed') throw failure(list, null);
      const [mail] = list.kind === 'mails' ? list.mails : [];
      if (mail === undefined) return `the Inbox of ${mailbox} can be listed; it is empty, so no mail was read`;
      const content = await inbox.content(mail.id, signal);
      if (content.kind === 'failed') throw failure(content, null);
      return `the Inbox of ${mailbox} can be read`;
    },
  };
}

async function* readFrom(
  inbox: Inbox,
  { after, since, skip, signal }: ReadingOptions,
  now: () => number,
): AsyncGenerator<Found, void> {
  let place = parsePlace(after, since.getTime());
  // The next list begins with the second at which the last one ended.
  const seen = new Set<string>();
  let page: InboxPage = { from: Math.max(place.from, since.getTime()), skip: 0, count: mailsPerList, withHeader: true };
  for (let lists = 0; lists < listsPerReading && !signal.aborted; lists += 1) {
    const list = await inbox.list(page, signal);
    if (signal.aborted) return;
    if (list.kind === 'too-long') {
      page = smaller(page);
      continue;
    }
    if (list.kind === 'failed') throw failure(list, null);
    const mails = list.mails.toSorted((a, b) => a.receivedAt - b.receivedAt);
    for (const mail of mails) {
      const key = keyOf(mail.id);
      if (seen.has(key) || isHandled(place, key)) continue;
      seen.add(key);
      if (!isCandidate(mail)) continue;
      const read = skip === failedAt(key) ? null : await contentOf(inbox, mail, key, signal);
      if (signal.aborted) return;
      place = goneOn(place, { key, receivedAt: mail.receivedAt }, Math.min(mail.receivedAt, now()));
      const text = placeText(place);
      yield read === null ? { kind: 'passed', place: text } : { kind: 'mail', place: text, bytes: read };
    }
    const last = mails.at(-1)?.receivedAt ?? page.from;
    place = goneOn(place, null, Math.min(last, now()));
    yield { kind: 'passed', place: placeText(place) };
    if (list.length === 0 || (list.length < page.count && !list.hasMore)) return;
    page = following(page, last, list.length);
  }
}

/** Begins anew at the last time, rather than going on by a number: mails may be deleted meanwhile. */
function following(page: InboxPage, last: number, length: number): InboxPage {
  const next = last > page.from ? { from: last, skip: 0 } : { from: page.from, skip: page.skip + length };
  return { ...next, count: Math.min(page.count * 2, mailsPerList), withHeader: true };
}

/** The header of one mail that is longer than an answer may be is not asked for: who sent it must do. */
function smaller(page: InboxPage): InboxPage {
  if (page.count > 1) return { ...page, count: Math.ceil(page.count / 4) };
  if (page.withHeader) return { ...page, withHeader: false };
  throw new MailboxFailure('protocol', 'a list of one mail is longer than a mebibyte');
}

/** null: it is gone. */
async function contentOf(
  inbox: Inbox,
  { id }: InboxMail,
  key: string,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const content = await inbox.content(id, signal);
  switch (content.kind) {
    case 'content':
      return content.bytes.subarray(0, maxReadBytes);
    case 'gone':
      return null;
    case 'failed': {
      if (signal.aborted) return null;
      // A mailbox that is throttled or closed is not the fault of this mail.
      const isOfMail = content.fault === 'protocol' || content.fault === 'unreachable';
      throw failure(content, isOfMail ? failedAt(key) : null);
    }
    default:
      return unreachable(content);
  }
}

function failure({ fault, detail, retryAfterMs }: InboxFailure, place: string | null): MailboxFailure {
  return new MailboxFailure(fault, detail, place, retryAfterMs);
}

/** Names a mail in what is kept of it; ids have 150 characters. */
function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url').slice(0, 8);
}

function failedAt(key: string): string {
  return `#${key}`;
}

/**
 * Graph does not tell the types of parts. A report that a scanner has wrapped is known by what programs write: no return path
 * (RFC 5321 section 4.5.5), and Auto-Submitted (RFC 3834 section 5).
 */
function isCandidate({ from, header }: InboxMail): boolean {
  if (from !== null && exchangeItself.test(from)) return true;
  const fields = fieldsOf(header ?? []);
  if (!fields.some(({ name }) => name === 'from')) fields.push({ name: 'from', value: from ?? '' });
  const submitted = valueOf(fields, 'auto-submitted').toLowerCase();
  return (
    mayBeReport(fields, null) ||
    valueOf(fields, 'return-path') === '<>' ||
    (submitted !== '' && !submitted.startsWith('no'))
  );
}

function fieldsOf(header: NonNullable<InboxMail['header']>): Field[] {
  return header.slice(0, maxFields).map(({ name, value }) => ({
    name: name.toLowerCase(),
    value: collapsed(value.slice(0, maxLineChars)),
  }));
}
