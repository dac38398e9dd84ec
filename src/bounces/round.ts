/** One reading of a mailbox: under a lease, mail by mail, each written before the place behind it is noted. A kill between the two reads it again, which changes nothing. */
import type { BounceNotes } from '../admin/bounces.ts';
import type { Mailboxes } from '../queue/mailboxes.ts';
import { asError } from '../errors.ts';
import type { BouncesEvent } from './events.ts';
import { recordReport } from './record.ts';
import { readReport, type Report } from './report.ts';
import { MailboxFailure, type Found, type MailSource } from './source.ts';

export interface RoundTools {
  readonly notes: BounceNotes;
  readonly mailboxes: Mailboxes;
  /** Patterns of the return paths that connectors give single mails. */
  readonly bouncePaths: readonly string[];
  /** How long an address that fails for good gets no mail, in ms; null: it goes on getting it. */
  readonly suppressForMs: number | null;
  readonly emit: (event: BouncesEvent) => void;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly timing: MailboxTiming;
}

export interface MailboxTiming {
  /** Between two readings. */
  readonly everyMs: number;
  /** After failures in a row: doubled each time, up to this. A wrong password is tried so seldom. */
  readonly mostDelayMs: number;
  /** A process that dies keeps a mailbox so long. Longer than the longest silence of a server. */
  readonly leaseMs: number;
  /** Of one reading, so that every mailbox has its turn. */
  readonly mostMails: number;
}

export const defaultMailboxTiming: MailboxTiming = {
  everyMs: 60_000,
  mostDelayMs: 900_000,
  leaseMs: 120_000,
  mostMails: 500,
};

/** A mail at which so many readings failed is passed over: one that breaks its server must not hold up all others. */
const mostTries = 5;

/** How far a mailbox was read, and the mail at which it failed last. */
interface Progress {
  readonly after: string | null;
  readonly failing: { readonly place: string; readonly times: number } | null;
}

export interface RoundOptions {
  readonly connector: string;
  /** Of the mailbox: a connector may have several. */
  readonly key: string;
  readonly source: MailSource;
  /** Mails that came earlier are left out at the first reading: their messages are forgotten. */
  readonly lookBackMs: number;
  /** Of this reading alone. */
  readonly token: string;
  readonly signal: AbortSignal;
}

/** → ms until it is due again, and when it last succeeded. */
export async function readMailbox(
  options: RoundOptions,
  tools: RoundTools,
): Promise<{ readonly waitMs: number; readonly readAt: number | null }> {
  const { connector, key, token } = options;
  const { mailboxes, emit, now, timing } = tools;
  const taken = await mailboxes.take(key, token, timing.leaseMs);
  if (taken.waitMs > 0) return { waitMs: taken.waitMs, readAt: taken.readAt };
  const before = parseProgress(taken.place);
  try {
    const isWhole = await readNew(before, options, tools);
    const delayMs = isWhole ? timing.everyMs : 0;
    await mailboxes.end(key, token, delayMs, 0);
    emit({ event: 'mailbox-read', connector });
    return { waitMs: delayMs, readAt: now() };
  } catch (thrown) {
    if (!(thrown instanceof MailboxFailure)) {
      // Redis, or an error of ours: the lease is given back as well as it can be.
      await mailboxes.end(key, token, timing.everyMs, taken.failures + 1).catch(() => undefined);
      throw thrown;
    }
    const failures = taken.failures + 1;
    const { fault, message: detail, retryAfterMs } = thrown;
    const backOffMs = Math.min(timing.everyMs * 2 ** Math.min(failures - 1, 20), timing.mostDelayMs);
    const delayMs = Math.max(backOffMs, retryAfterMs ?? 0);
    await mailboxes.end(key, token, delayMs, failures);
    emit({ event: 'mailbox-failed', connector, fault, failures, waitMs: delayMs, detail });
    return { waitMs: delayMs, readAt: taken.readAt };
  }
}

/** → whether there are no more for now. */
async function readNew(before: Progress, options: RoundOptions, tools: RoundTools): Promise<boolean> {
  const { connector, key, source, lookBackMs, token, signal } = options;
  const { mailboxes, emit, now, timing } = tools;
  const skip = before.failing !== null && before.failing.times >= mostTries ? before.failing.place : null;
  if (skip !== null) emit({ event: 'bounce-skipped', connector });
  let progress: Progress = skip === null ? before : { ...before, failing: null };
  const hold = async (next: Progress): Promise<boolean> => {
    progress = next;
    return mailboxes.hold(key, token, timing.leaseMs, JSON.stringify(next));
  };
  const reading = { after: before.after, since: new Date(now() - lookBackMs), skip, signal };
  let mails = 0;
  try {
    for await (const found of source.read({ ...reading, oneByOne: before.failing !== null })) {
      if (found.kind === 'mail' && !(await handle(found, options, tools))) return true;
      // Another process has the mailbox: it reads from where this one began, and what is written twice is written once.
      if (!(await hold({ after: found.place, failing: null }))) return true;
      mails += 1;
      if (mails >= timing.mostMails) return false;
    }
    return true;
  } catch (thrown) {
    if (thrown instanceof MailboxFailure && thrown.place !== null) {
      const { place } = thrown;
      const times = before.failing?.place === place ? before.failing.times + 1 : 1;
      await hold({ ...progress, failing: { place, times } });
    }
    throw thrown;
  }
}

/** → false if it is to be read again later. */
async function handle(
  { bytes, place }: Extract<Found, { kind: 'mail' }>,
  { connector }: RoundOptions,
  { notes, bouncePaths, suppressForMs, emit, now }: RoundTools,
): Promise<boolean> {
  let report: Report;
  try {
    report = await readReport(bytes);
  } catch (thrown) {
    // A fault of ours, which would come again, and must not hold up the others for ever.
    throw new MailboxFailure('protocol', asError(thrown).message, place);
  }
  const recorded = await recordReport(report, connector, { notes, bouncePaths, suppressForMs, now: now() });
  if (recorded.kind === 'again') return false;
  if (recorded.kind === 'unmatched') emit({ event: 'bounce-unmatched', connector, why: recorded.why });
  else {
    const { id, written, suppressed } = recorded;
    emit({ event: 'bounce', connector, id, recipients: written });
    if (suppressed.added > 0) emit({ event: 'bounce-suppressed', connector, id, recipients: suppressed.added });
    if (suppressed.refused > 0) emit({ event: 'suppressions-full', connector, id, recipients: suppressed.refused });
  }
  return true;
}

function parseProgress(text: string | null): Progress {
  try {
    const value = JSON.parse(text ?? 'null') as Partial<Progress> | null;
    const after = typeof value?.after === 'string' ? value.after : null;
    const { place, times } = value?.failing ?? {};
    const isFailing = typeof place === 'string' && typeof times === 'number';
    return { after, failing: isFailing ? { place, times } : null };
  } catch {
    // Nothing that comes out of Redis may break a reader: it begins anew, and what it wrote before stays as it is.
    return { after: null, failing: null };
  }
}
