/** When mail of a connector goes by another one, when it comes back, and how much another one takes. */
import { describe, expect, test } from 'vitest';
import type { FallbackRoom, FaultState } from '../../../src/queue/lanes/fallback.ts';
import {
  capacityOf,
  isBlocked,
  keptOf,
  mayDivert,
  stageOf,
  trialMessages,
  windowOf,
} from '../../../src/worker/failover/stage.ts';

const now = 1_000_000;
const fallback = { to: ['relay'], afterMs: 60_000, atOnce: ['auth'] };

function state(change: Partial<FaultState> = {}): FaultState {
  return {
    connector: 'c',
    fault: null,
    record: null,
    sent: 100,
    paused: false,
    active: 0,
    waiting: 1,
    guests: 0,
    ...change,
  };
}
const faultOf = (kind: string, sinceMs: number, leftMs = 1_000) => ({
  fault: { kind, reply: '', since: now - sinceMs, until: now + leftMs },
});
const record = (healthy: { at: number; sent: number } | null) => ({ record: { since: 0, to: 'relay', healthy } });
const stage = (change: Partial<FaultState>) => stageOf(state(change), fallback, now, 30_000);

describe('the mail of a connector', () => {
  test.each([
    ['is its own while it works', {}, 'own'],
    ['waits while it is not at fault for long enough', faultOf('unreachable', 59_999), 'waits'],
    ['goes by another one after that', faultOf('unreachable', 60_000), 'away'],
    ['goes by another one at once after a chosen fault', faultOf('auth', 0), 'away'],
    ['waits where the server asks for a slower pace', faultOf('throttled', 3_600_000), 'own'],
    ['is on trial once a probe was taken', record(null), 'trial'],
    ['is on trial until it has proved itself', record({ at: now - 29_999, sent: 91 }), 'trial'],
    ['comes back after some messages', record({ at: now, sent: 90 }), 'over'],
    ['comes back after some time', record({ at: now - 30_000, sent: 100 }), 'over'],
    ['goes away again at once in the trial', { ...faultOf('tls', 0), ...record({ at: now, sent: 95 }) }, 'away'],
  ] as const)('%s', (_, change, expected) => {
    expect(stage(change)).toBe(expected);
  });
});

test('what an operator has paused, and what a server wants more slowly, stays where it is', () => {
  expect(mayDivert(state(record(null)))).toBe(true);
  expect(mayDivert(state(faultOf('tls', 0)))).toBe(true);
  expect(mayDivert({ ...state(record(null)), paused: true })).toBe(false);
  expect(mayDivert(state({ ...record(null), ...faultOf('throttled', 0) }))).toBe(false);
  expect(mayDivert({ ...state(record(null)), waiting: 0 })).toBe(false);
});

test('a probe is left where the pause is over and nobody is at it, and ten messages in the trial', () => {
  const due = state(faultOf('unreachable', 60_000, 0));
  expect(keptOf(due, 'away', now)).toBe(1);
  expect(keptOf({ ...due, active: 1 }, 'away', now)).toBe(0);
  expect(keptOf(state(faultOf('unreachable', 60_000, 1)), 'away', now)).toBe(0);
  expect(keptOf(state(record(null)), 'trial', now)).toBe(trialMessages);
});

test.each([
  [{ concurrency: 5, messagesPerMinute: null }, 50],
  [{ concurrency: 1_000, messagesPerMinute: null }, 500],
  [{ concurrency: 5, messagesPerMinute: 30 }, 5],
  [{ concurrency: 5, messagesPerMinute: 1 }, 1],
])('the room of a fallback with %o is %i messages', (limits, room) => {
  expect(windowOf(limits)).toBe(room);
});

describe('a fallback', () => {
  const room: FallbackRoom = {
    paused: false,
    waitsFor: '',
    faults: 0,
    faultMs: 0,
    jobs: 0,
    guests: [],
    deferred: [],
    unfit: [],
  };
  const limits = { concurrency: 1, messagesPerMinute: null };
  const many = Array.from({ length: 1_000 }, (_, i) => ({ of: 'c', jobId: `m${i}` }));
  const guests = many.slice(0, 4);

  test.each([
    ['has room for what it has not', {}, { works: true, room: 10 }],
    ['has less room with messages of others', { guests }, { works: true, room: 6 }],
    ['has as much room with some that it has deferred', { deferred: many.slice(1) }, { works: true, room: 10 }],
    ['is not asked once it has deferred many', { deferred: many }, { works: false, room: 0 }],
    ['is not asked while it is paused', { paused: true }, { works: false, room: 0 }],
    ['is not asked at the end of a quota', { waitsFor: 'recipients-per-day' }, { works: false, room: 0 }],
    ['is not asked while its server asks for a pause', { waitsFor: 'slow-down' }, { works: false, room: 0 }],
    ['is asked while it waits for its rate', { waitsFor: 'rate' }, { works: true, room: 10 }],
    ['is not asked while it is at fault', { faults: 1, faultMs: 5 }, { works: false, room: 0 }],
    ['gets a probe once its pause is over', { faults: 1 }, { works: false, room: 1 }],
    ['gets no second probe', { faults: 1, jobs: 1 }, { works: false, room: 0 }],
  ])('%s', (_, change, expected) => {
    expect(capacityOf({ ...room, ...change }, limits)).toEqual(expected);
  });

  test('gives back what it has where it cannot send for some time, and keeps it while it is slowed down', () => {
    const blocked = [{ paused: true }, { faults: 1, faultMs: 5 }, { waitsFor: 'bytes' }];
    expect(blocked.map((change) => isBlocked({ ...room, ...change }))).toEqual([true, true, true]);
    const open = [{}, { faults: 1 }, { waitsFor: 'slow-down' }, { waitsFor: 'rate' }];
    expect(open.map((change) => isBlocked({ ...room, ...change }))).toEqual([false, false, false, false]);
  });
});
