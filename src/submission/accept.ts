/** What happens between the end of data and the reply: the mail is judged, gets an id, and is handed to the producer. */
import { createHash, randomUUID } from 'node:crypto';
import { unreachable } from '../errors.ts';
import { parseMailboxList } from '../message/address.ts';
import { newMessageId } from '../message/identity.ts';
import { isUtf8 } from 'node:buffer';
import { inlineContentLimitBytes } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { createBooking, isNotStored, type Booking } from '../admin/sender-quota.ts';
import type { SubmissionStore } from '../admin/submissions.ts';
import type { Submitter } from '../producer/producer.ts';
import { countHops, maxHops, readMail, receivedField, valueOf, writeMail, type Hop } from './mail.ts';
import { readOptions, type MessageOptions } from './options.ts';
import { tracing, type TraceIds, type Tracing } from '../tracing/tracing.ts';
import { refusal, refusalOf, type Refusal } from './replies.ts';
import { checkHeaderSenders, headerText, type Sender } from './sender.ts';

interface Submission {
  readonly sender: Sender;
  /** The address of a client that needs no login; '' of one that has logged in. */
  readonly device: string;
  /** '' is the null reverse-path. */
  readonly mailFrom: string;
  readonly recipients: readonly string[];
  readonly utf8: boolean;
  readonly bytes: Buffer;
  /** SHA-256 of the bytes, hex: computed while they arrived. */
  readonly hash: string;
  readonly hop: Omit<Hop, 'id' | 'recipients' | 'at'>;
}

export type Verdict =
  /** `trace`: of the span of the submission, where there is one. */
  | { readonly ok: true; readonly id: string; readonly duplicate: boolean; readonly trace?: TraceIds }
  | { readonly ok: false; readonly refusal: Refusal };

export interface AcceptOptions {
  readonly producer: Pick<Submitter, 'submit'>;
  readonly store: Pick<SubmissionStore, 'claim' | 'takeQuota'>;
  readonly dedupeForMs: () => number;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Never rejects. */
export type Accept = (submission: Submission) => Promise<Verdict>;

export function createAccept({ producer, store, dedupeForMs, now }: AcceptOptions): Accept {
  /**
   * The id of a message, the same for the same submission. It is claimed before the message is stored: if the client gets no reply, whether
   * the message is stored or not, its next try has this id.
   */
  const identify = async (submission: Submission, named: 'message-id' | 'date' | 'not'): Promise<string> => {
    const fresh = newMessageId(now(), randomUUID());
    if (named === 'not') return fresh;
    // Of several devices, each may raise the same alarm in the same second.
    const from = named === 'date' ? submission.device : '';
    return store.claim(fingerprint(submission, from), fresh, dedupeForMs());
  };

  const accept = async (submission: Submission): Promise<Verdict> => {
    const { sender, mailFrom, recipients, utf8, hop } = submission;
    const mail = readMail(submission.bytes);
    const { header } = mail;
    if (header.problem !== null) return refused('invalid', header.problem);
    if (countHops(header) > maxHops) return refused('loop');
    const checked = checkHeaderSenders(header.fields, sender.from, utf8);
    if (!checked.ok) return refused('header-sender', checked.problem);
    const from = valueOf(header, 'from');
    if (from === null && mailFrom === '') return refused('invalid', 'it has no From, and no envelope sender');
    const read = sender.options ? readOptions(header.fields) : { ok: true as const, options: {} as MessageOptions };
    if (!read.ok) return refused('invalid', read.problem);
    const named = (['message-id', 'date'] as const).find((name) => (valueOf(header, name) ?? '') !== '') ?? 'not';
    const { id: own, ...options } = read.options;
    const id = own ?? (await identify(submission, named));
    const added =
      receivedField({ ...hop, id, recipients, at: new Date(now()) }) +
      (from === null ? `From: ${mailFrom}\r\n` : '') +
      (mail.start >= submission.bytes.length ? '\r\n' : '');
    const message: OutboundMessage = {
      ...options,
      id,
      from: { address: addressOf(from) ?? mailFrom },
      raw: rawOf(writeMail(submission.bytes, mail, added)),
      envelope: { from: mailFrom, to: recipients },
    };
    const { quota } = sender;
    const booking = createBooking(quota?.limits ?? null, (count) => store.takeQuota(quota!.key, quota!.limits, count));
    // An id that the client chose may be another message's: the print tells.
    const print = own === undefined ? undefined : fingerprint(submission);
    try {
      const { kind } = await producer.submit(message, { beforeStore: booking.beforeStore, print });
      switch (kind) {
        case 'new':
          return { ok: true, id, duplicate: false };
        case 'duplicate':
          await booking.giveBack();
          return { ok: true, id, duplicate: true };
        case 'id-taken':
          await booking.giveBack();
          return refused('id-taken');
        case 'refused':
          return overQuota(booking);
        default:
          return unreachable(kind);
      }
    } catch (error) {
      if (isNotStored(error)) await booking.giveBack();
      throw error;
    }
  };

  const acceptOrRefuse: Accept = async (submission) => {
    try {
      return await accept(submission);
    } catch (error) {
      return { ok: false, refusal: refusalOf(error) };
    }
  };

  return (submission) => {
    const found = tracing();
    return found === null ? acceptOrRefuse(submission) : acceptTraced(found, acceptOrRefuse, submission);
  };
}

/** SMTP names no trace, so one begins here. Nothing of the client or of the mail is in it. */
async function acceptTraced(found: Tracing, accept: Accept, submission: Submission): Promise<Verdict> {
  const span = found.begin('smtp submit', { kind: 'server', parent: '' });
  const verdict = await span.run(() => accept(submission));
  if (verdict.ok) span.set({ 'messaging.message.id': verdict.id, 'postlane.duplicate': verdict.duplicate });
  span.end(verdict.ok ? null : verdict.refusal.reason);
  return verdict.ok ? { ...verdict, trace: span.ids } : verdict;
}

function overQuota(booking: Booking): Verdict {
  const full = booking.refusal();
  if (full === null) return refused('unavailable');
  return full.kind === 'never'
    ? refused('quota-never', full.what)
    : refused('quota', `${full.what}, in ${Math.ceil(full.waitMs / 1_000)} s`);
}

function refused(...of: Parameters<typeof refusal>): Verdict {
  return { ok: false, refusal: refusal(...of) };
}

/** Of a From that has been checked. */
function addressOf(from: string | null): string | undefined {
  const parsed = from === null ? null : parseMailboxList(headerText(from));
  return parsed?.ok === true ? parsed.value[0]?.address : undefined;
}

/** Small mails of text travel as text, which takes a quarter less than base64; large ones are stored as bytes. */
function rawOf(bytes: Buffer): string | Buffer {
  return bytes.length <= inlineContentLimitBytes && isUtf8(bytes) ? bytes.toString() : bytes;
}

/** Equal for the same content to the same recipients from the same sender. Lengths keep apart what is joined. */
function fingerprint({ sender, mailFrom, recipients, hash }: Submission, device = ''): string {
  const from = device === '' ? [sender.name] : [sender.name, device];
  return hashOf('mail', ...from, mailFrom, [...new Set(recipients)].toSorted().join('\n'), hash);
}

function hashOf(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:${part}\n`);
  return hash.digest('base64url');
}
