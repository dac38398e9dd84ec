/** Results that arrive after another decision: what they may still change, and what not. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { DeadLetter, DeadLetters } from '../../../src/queue/ledger/dead-letters.ts';
import type { Ledger, NewRow, RecipientState, Settlement } from '../../../src/queue/ledger/ledger.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

type Outcome = RecipientState['outcome'];

const recipient = (name: string, outcome: Outcome): RecipientState => ({
  address: `${name}@example.net`,
  outcome,
  code: null,
  reply: null,
});

const row: NewRow = {
  id: 'm',
  connector: 'relay',
  rule: 'default',
  messageId: '<m@example.com>',
  recipients: [recipient('a', 'pending'), recipient('b', 'pending')],
  acceptedAt: 1,
  deadline: 2 ** 42,
};

function settlement(
  state: Settlement['state'],
  a: Outcome,
  b: Outcome,
  deadLetter: DeadLetter | null = null,
): Settlement {
  return {
    state,
    recipients: [recipient('a', a), recipient('b', b)],
    entry: { at: 9, event: state },
    retryAt: null,
    reason: deadLetter?.reason ?? null,
    retentionMs: ['sent', 'partial', 'dead'].includes(state) ? 60_000 : null,
    deadLetter,
    countAttempt: true,
    connectorWorks: true,
  };
}

function letter(reason: DeadLetter['reason']): DeadLetter {
  return {
    id: 'm',
    reason,
    connector: 'relay',
    recipients: [],
    at: 9,
    reply: null,
    attempts: 1,
    acceptedAt: 1,
    data: { v: 1 },
    form: 'json',
  };
}

describe('the result of an attempt that is not the open one any more', () => {
  let ledger: Ledger;
  let deadLetters: DeadLetters;
  /** `attempts`: how many it knows of; it goes over an open one. */
  let fence: (token: string, attempts?: number) => Promise<unknown>;

  beforeEach(() => {
    const prefix = testPrefix();
    const redis = testConnection();
    ({ ledger, deadLetters } = openQueues(redis, { prefix }));
    fence = async (token, attempts = 0) => {
      await redis.set(`${prefix}:lock`, token);
      const attempt = { lockKey: `${prefix}:lock`, token, now: 5, worker: 'w', overOpen: attempts > 0, attempts };
      return ledger.fence(row, attempt);
    };
  });

  const outcomes = async (): Promise<unknown> => (await ledger.read('m'))?.recipients.map(({ outcome }) => outcome);

  test('is not taken for that of one whose token only begins alike', async () => {
    await fence('w:1');
    await fence('w:12', 1);
    expect(await ledger.settle(row, 'w:1', settlement('sent', 'accepted', 'accepted'))).toBe('late');
    expect(await ledger.read('m')).toMatchObject({ state: 'sending' });
  });

  test('never takes back that a recipient has it', async () => {
    await fence('t1');
    await fence('t2', 1);
    await ledger.settle(row, 't2', settlement('deferred', 'accepted', 'deferred'));
    expect(await ledger.settle(row, 't1', settlement('deferred', 'deferred', 'deferred'))).toBe('late');
    expect(await outcomes()).toEqual(['accepted', 'deferred']);
    expect(await ledger.settle(row, 't1', settlement('dead', 'rejected', 'rejected', letter('rejected')))).toBe('late');
    expect(await ledger.read('m')).toMatchObject({ state: 'deferred' });
    expect(await deadLetters.count()).toBe(0);
  });

  test('settles the message if all recipients have it', async () => {
    await fence('t1');
    await fence('t2', 1);
    await ledger.settle(row, 't2', settlement('deferred', 'accepted', 'deferred'));
    expect(await ledger.settle(row, 't1', settlement('sent', 'accepted', 'accepted'))).toBe('ok');
    expect(await ledger.read('m')).toMatchObject({ state: 'sent' });
  });

  test('stops a later attempt that does not know of it: the row says which recipients it reached', async () => {
    await fence('t1');
    await ledger.settle(row, 't1', settlement('deferred', 'accepted', 'deferred'));
    expect(await fence('t2')).toBe('open');
    expect(await ledger.read('m')).toMatchObject({ state: 'deferred', attempts: 1, open: null });
    expect(await fence('t2', 1)).toBe('go');
  });

  test.each(['deferred', 'queued'] as const)('`%s` leaves a held message held, with its only copy', async (state) => {
    await fence('t1');
    await ledger.settle(row, null, settlement('held', 'uncertain', 'uncertain', letter('uncertain')));
    expect(await ledger.settle(row, 't1', settlement(state, 'deferred', 'deferred'))).toBe('late');
    expect(await ledger.read('m')).toMatchObject({ state: 'held', history: [{ event: 'held' }, { event: state }] });
    expect(await deadLetters.get('m')).toMatchObject({ reason: 'uncertain' });
  });

  test.each([
    ['sent', 'accepted', null],
    ['dead', 'rejected', letter('rejected')],
  ] as const)('`%s` ends a held message: nothing is left to resolve', async (state, outcome, left) => {
    await fence('t1');
    await ledger.settle(row, null, settlement('held', 'uncertain', 'uncertain', letter('uncertain')));
    expect(await ledger.settle(row, 't1', settlement(state, outcome, outcome, left))).not.toBe('late');
    expect(await ledger.read('m')).toMatchObject({ state });
    expect((await deadLetters.get('m'))?.reason).toBe(left?.reason);
  });
});
