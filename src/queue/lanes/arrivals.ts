/**
 * New messages on their way into the intake: those that are sent within one turn of the event loop go there in one script, and each has
 * its own answer. A script of BullMQ's for each would cost a sender and Redis more than all that is in it.
 *
 *   arrives ──▶ gathered ──(end of the loop's turn)──▶ in portions ──▶ answered, each by itself
 *
 * Redis answers no other client while a script runs, so a portion is bounded by number and by bytes.
 */
import { asError } from '../../errors.ts';
import { traceOption } from '../bullmq/layout.ts';
import { maxTurnBytes } from '../lua/exchange.ts';
import { run } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { jobIdOf } from '../redis/job-ids.ts';
import { intakeName, jobName, type HomeKeys } from '../redis/keys.ts';
import { arriveScript } from './intake-scripts.ts';

export interface Arrival {
  readonly id: string;
  /** As JSON. */
  readonly data: string;
  /** As BullMQ has it. */
  readonly priority: number;
  /** The id may be in use already: its row and its place are looked at, too. */
  readonly broughtId: boolean;
  /** The trace context of its sender, as BullMQ's option has it; '' without one. */
  readonly carrier: string;
  /** When its time comes, in ms since the epoch; 0 if it has. */
  readonly dueAt: number;
  /** What was submitted, and how long that is kept, in ms: written together with the message, or not at all. null: nothing is. */
  readonly print: { readonly value: string; readonly forMs: number } | null;
}

/** → whether the id was in use: then nothing was stored. Rejects with the error of Redis. */
export type Arrive = (arrival: Arrival) => Promise<'new' | 'duplicate'>;

/** Messages in one script: Redis is busy with them for less than half a millisecond. */
export const maxArrivals = 16;

interface Asked {
  readonly arrival: Arrival;
  readonly resolve: (answer: 'new' | 'duplicate') => void;
  readonly reject: (error: Error) => void;
}

export function createArrivals(redis: RedisClient, home: HomeKeys): Arrive {
  const key = (type: string): string => home.queue(intakeName, type);
  const keys = {
    wait: key('wait'),
    prioritized: key('prioritized'),
    delayed: key('delayed'),
    active: key('active'),
    meta: key('meta'),
    pc: key('pc'),
    marker: key('marker'),
  };
  const names = { prefix: key(''), rows: home.ledger(''), places: home.location(''), jobName };
  let gathered: Asked[] = [];

  const send = async (asked: readonly Asked[]): Promise<void> => {
    const moreArgs: (string | number)[] = [];
    const at = Date.now();
    for (const { arrival } of asked) {
      const { id, data, priority, broughtId, dueAt } = arrival;
      moreArgs.push(jobIdOf(id), data, priority, broughtId ? id : '', Math.max(0, dueAt - at));
    }
    try {
      const answers = await run(redis, arriveScript, {
        keys,
        args: { ...names, at, traces: tracesOf(asked), prints: printsOf(asked, home) },
        moreArgs,
      });
      for (const [i, { resolve, reject }] of asked.entries()) {
        const answer = (answers as unknown[])[i];
        if (answer === 1 || answer === 0) resolve(answer === 1 ? 'new' : 'duplicate');
        else reject(new Error(String(answer)));
      }
    } catch (thrown) {
      const error = asError(thrown);
      for (const { reject } of asked) reject(error);
    }
  };

  const flush = (): void => {
    const all = gathered;
    gathered = [];
    for (let start = 0; start < all.length;) {
      const end = portionEnd(all, start);
      void send(all.slice(start, end));
      start = end;
    }
  };

  return (arrival) =>
    new Promise((resolve, reject) => {
      if (gathered.push({ arrival, resolve, reject }) === 1) setImmediate(flush);
    });
}

/** Of each message, what its trace context adds to its options; '' if none has one. */
function tracesOf(asked: readonly Asked[]): string {
  if (asked.every(({ arrival }) => arrival.carrier === '')) return '';
  const added = ({ arrival: { carrier } }: Asked): string =>
    carrier === '' ? '' : `,"${traceOption}":${JSON.stringify(carrier)}`;
  return JSON.stringify(asked.map(added));
}

/** Of each message, the key of its print, the print, and its end; '' if none has one. */
function printsOf(asked: readonly Asked[], home: HomeKeys): string {
  if (asked.every(({ arrival }) => arrival.print === null)) return '';
  const written = ({ arrival: { id, print } }: Asked): readonly string[] =>
    print === null ? [] : [home.print(id), print.value, String(print.forMs)];
  return JSON.stringify(asked.map(written));
}

/** Text counts by its length, as in a turn. A message that is larger by itself goes alone. */
function portionEnd(all: readonly Asked[], start: number): number {
  let bytes = 0;
  for (let i = start; i < all.length; i += 1) {
    bytes += all[i]!.arrival.data.length;
    if (i > start && (i - start >= maxArrivals || bytes > maxTurnBytes)) return i;
  }
  return all.length;
}
