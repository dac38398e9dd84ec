/** Dead letters in groups: by reason, connector and the shape of the reply, with how many, since when, and where they would go now. */
import type { DeadLetters } from '../queue/ledger/dead-letters.ts';
import type { LetterDigest } from '../queue/ledger/letter-pages.ts';
import { letterPages, type LetterFilter } from './dead-filter.ts';
import { shapeOfReply } from './reply-shape.ts';
import type { Routes } from './routes.ts';

export const groupKeys = ['reason', 'connector', 'reply'] as const;
export type GroupKey = (typeof groupKeys)[number];

export interface DeadGroup {
  /** null where it is not grouped by it, or there is none. */
  readonly reason: string | null;
  readonly connector: string | null;
  /** Without addresses and numbers. */
  readonly reply: string | null;
  readonly count: number;
  readonly recipients: number;
  /** ms since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** The newest one. */
  readonly lastId: string;
  /** The connector that would send the newest one now; null if none would. */
  readonly wouldRouteTo: string | null;
}

export interface DeadGroups {
  /** The largest first. */
  readonly groups: readonly DeadGroup[];
  /** Over all groups. */
  readonly count: number;
  readonly recipients: number;
  /** Groups that were left out, and the letters in them. */
  readonly omitted: { readonly groups: number; readonly count: number };
  /** false: only the newest letters were looked at. */
  readonly complete: boolean;
}

/** Servers that put a name into each reply make many; what comes later counts only into the sums. */
const mostGroups = 5_000;
const mostGroupsShown = 200;

type Growing = { -readonly [Name in keyof Omit<DeadGroup, 'wouldRouteTo'>]: DeadGroup[Name] } & {
  from: string | null;
  sentBy: string | null;
};

/** `most`: how many of the newest letters are looked at, where a page must not wait for all. */
export async function groupDeadLetters(
  letters: Pick<DeadLetters, 'page'>,
  filter: LetterFilter,
  by: readonly GroupKey[],
  routes: Routes,
  most = Infinity,
): Promise<DeadGroups> {
  const groups = new Map<string, Growing>();
  const shapes = new Map<string, string | null>();
  let [count, recipients, left] = [0, 0, 0];
  let [looked, complete] = [0, true];
  const add = (digest: LetterDigest): void => {
    count += 1;
    recipients += digest.recipients;
    const reason = by.includes('reason') ? digest.reason : null;
    const connector = by.includes('connector') ? digest.connector : null;
    const reply = by.includes('reply') ? remembered(shapes, digest.reply) : null;
    const key = `${reason}\n${connector}\n${reply}`;
    const { id, at, from } = digest;
    const group = groups.get(key);
    if (group !== undefined) {
      group.count += 1;
      group.recipients += digest.recipients;
      if (at >= group.lastAt) Object.assign(group, { lastAt: at, lastId: id, from, sentBy: digest.connector });
      else group.firstAt = Math.min(group.firstAt, at);
    } else if (groups.size < mostGroups) {
      const about = { reason, connector, reply, count: 1, recipients: digest.recipients, firstAt: at, lastAt: at };
      groups.set(key, { ...about, lastId: id, from, sentBy: digest.connector });
    } else left += 1;
  };
  for await (const page of letterPages(letters, filter, most === Infinity ? 'oldest' : 'newest')) {
    for (const digest of page.digests) add(digest);
    looked += page.looked;
    if (looked < most || page.isLast) continue;
    complete = false;
    break;
  }
  const sorted = [...groups.values()].sort((a, b) => b.count - a.count || b.lastAt - a.lastAt);
  const shown = sorted.slice(0, mostGroupsShown);
  const hidden = sorted.slice(mostGroupsShown);
  return {
    groups: shown.map(({ from, sentBy, ...group }) => ({
      ...group,
      wouldRouteTo: targetOf({ from, connector: sentBy }, routes),
    })),
    count,
    recipients,
    complete,
    omitted: { groups: hidden.length, count: hidden.reduce((sum, group) => sum + group.count, left) },
  };
}

/** Where a letter would go now. One of an earlier release does not say its From: then to the connector that it had, if that still sends. */
export function targetOf(
  { from, connector }: { readonly from: string | null; readonly connector: string | null },
  routes: Routes,
): string | null {
  if (from !== null) return routes.target(from);
  return connector !== null && routes.sends(connector) ? connector : null;
}

/** Thousands of letters have the same reply. */
function remembered(shapes: Map<string, string | null>, reply: string | null): string | null {
  if (reply === null) return null;
  const known = shapes.get(reply);
  if (known !== undefined) return known;
  const shape = shapeOfReply(reply);
  if (shapes.size < mostGroups) shapes.set(reply, shape);
  return shape;
}
