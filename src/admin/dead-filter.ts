/** Which dead letters are meant: the filter of listings, groups and previews, and the letters that fit it, a page at a time. */
import { deadReasons, type DeadLetters, type DeadReason } from '../queue/ledger/dead-letters.ts';
import type { LetterDigest, LetterPage, LetterPlace } from '../queue/ledger/letter-pages.ts';
import { shapeOfReply } from './reply-shape.ts';
import { timeText } from './time-text.ts';

export interface LetterFilter {
  readonly reason?: DeadReason;
  /** null: those that no connector had. */
  readonly connector?: string | null;
  /** As a group shows it: without addresses and numbers. null: those without a reply. */
  readonly reply?: string | null;
  /** One of them, exactly as it is written but for letter case. */
  readonly recipient?: string;
  /** ms since the epoch, inclusive. */
  readonly since?: number;
  readonly until?: number;
}

export function fits(digest: LetterDigest, { reason, connector, reply }: LetterFilter): boolean {
  if (reason !== undefined && digest.reason !== reason) return false;
  if (connector !== undefined && digest.connector !== connector) return false;
  return reply === undefined || shapeOfReply(digest.reply) === reply;
}

interface FittingPage {
  readonly digests: readonly LetterDigest[];
  /** How many letters Redis has looked at for it, about. */
  readonly looked: number;
  readonly isLast: boolean;
}

/** Of one page of Redis: with a filter by recipient, it may give none and has looked at as many all the same. */
const lookedAtOnce = 500;

/** Those that die meanwhile are among the oldest first unless `until` says otherwise. */
export async function* letterPages(
  letters: Pick<DeadLetters, 'page'>,
  filter: LetterFilter,
  order: 'oldest' | 'newest',
): AsyncGenerator<FittingPage> {
  // The next page is on its way while one is worked on.
  const read = (after: LetterPlace | null): Promise<LetterPage> => letters.page({ ...boundsOf(filter), order, after });
  let coming: Promise<LetterPage> | null = read(null);
  while (coming !== null) {
    const { digests, next }: LetterPage = await coming;
    coming = next === null ? null : read(next);
    // It is awaited later, or not at all where the caller has enough.
    coming?.catch(() => undefined);
    const looked = Math.max(digests.length, lookedAtOnce);
    yield { digests: digests.filter((digest) => fits(digest, filter)), looked, isLast: coming === null };
  }
}

/** Oldest first. */
export async function* letterDigests(
  letters: Pick<DeadLetters, 'page'>,
  filter: LetterFilter,
): AsyncGenerator<LetterDigest> {
  for await (const { digests } of letterPages(letters, filter, 'oldest')) yield* digests;
}

/** What Redis itself sorts out. */
export function boundsOf({ since, until, recipient }: LetterFilter): {
  readonly since?: number;
  readonly until?: number;
  readonly recipient?: string;
} {
  return {
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(recipient === undefined ? {} : { recipient }),
  };
}

/** In words, for audits and operations. */
export function filterText({ reason, connector, reply, recipient, since, until }: LetterFilter): string {
  const parts = [
    reason,
    connector === undefined ? null : `connector ${connector ?? 'none'}`,
    reply === undefined ? null : `reply ${reply ?? 'none'}`,
    recipient === undefined ? null : 'one recipient',
    since === undefined ? null : `since ${timeText(since)}`,
    until === undefined ? null : `until ${timeText(until)}`,
  ].filter((part) => part !== null && part !== undefined);
  return parts.length === 0 ? 'all' : parts.join(', ');
}

/** A filter that was kept in Redis; null for what is none. */
export function readFilter(value: unknown): LetterFilter | null {
  if (typeof value !== 'object' || value === null) return null;
  const { reason, connector, reply, recipient, since, until } = value as Record<string, unknown>;
  const known = deadReasons.find((name) => name === reason);
  if (reason !== undefined && known === undefined) return null;
  const nullable = (each: unknown): each is string | null => each === null || typeof each === 'string';
  return {
    ...(known === undefined ? {} : { reason: known }),
    ...(nullable(connector) ? { connector } : {}),
    ...(nullable(reply) ? { reply } : {}),
    ...(typeof recipient === 'string' ? { recipient } : {}),
    ...(typeof since === 'number' ? { since } : {}),
    ...(typeof until === 'number' ? { until } : {}),
  };
}
