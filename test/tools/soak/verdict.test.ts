/** The soak's judge: it must see each kind of broken promise, or a soak that passes would prove nothing. */
import { describe, expect, test } from 'vitest';
import type { LedgerRow, RecipientState } from '../../../src/queue/ledger/ledger.ts';
import { judge, type Evidence } from '../../../tools/soak/verdict.ts';

const to = 't1.0@relay.sink.test';
const copy = (at = 100) => ({ at, server: 'relay' });

function recipient(outcome: RecipientState['outcome'], address = to): RecipientState {
  return { address, outcome, code: null, reply: null };
}

function rowOf(row: Partial<LedgerRow> = {}): LedgerRow {
  const about = { id: 'm', connector: 'relay', rule: 'domain', messageId: '<m@x>', attempts: 1, acceptedAt: 1 };
  const times = {
    updatedAt: 1,
    deadline: 9,
    retryAt: null,
    reason: null,
    open: null,
    setAside: false,
    attributed: null,
    heardAgain: false,
    from: null,
    metadata: null,
    subject: null,
    erasedAt: null,
    submittedBy: null,
    trace: null,
    lastTrace: null,
    attemptLog: [],
  };
  return { ...about, ...times, state: 'sent', recipients: [recipient('accepted')], history: [], ...row };
}

function letterOf(address = to) {
  const about = {
    id: 'm',
    reason: 'rejected',
    connector: 'relay',
    at: 1,
    reply: null,
    attempts: 1,
    acceptedAt: 1,
  } as const;
  return { ...about, recipients: [{ address, code: null, reply: null }] };
}

/** A message that was sent once and well, but for what is given. */
function evidence({
  offer,
  ...rest
}: Partial<Omit<Evidence, 'offer'>> & { offer?: Partial<Evidence['offer']> } = {}): Evidence {
  return {
    offer: { tag: 't1', to: [to], sendAt: null, id: 'm', accepted: true, cancelled: false, ...offer },
    row: rowOf(),
    letter: null,
    inIntake: false,
    copies: new Map([[to, [copy()]]]),
    contents: 1,
    takesAll: false,
    ...rest,
  };
}

const uncertain = { at: 1, event: 'uncertain' };
const gone = { state: 'dead', recipients: [recipient('uncertain')] } as const;
const none = new Map([[to, []]]);
const twice = new Map([[to, [copy(), copy()]]]);

describe('breaks no promise:', () => {
  test.each<[string, Evidence, object]>([
    ['one copy', evidence(), { deliveredOnce: 1, deliveredMore: 0 }],
    [
      'two copies, one uncertain attempt',
      evidence({ copies: twice, row: rowOf({ history: [uncertain] }) }),
      { deliveredMore: 1 },
    ],
    [
      'no copy, and a dead letter',
      evidence({
        copies: none,
        letter: letterOf(),
        row: rowOf({ state: 'dead', reason: 'rejected', recipients: [recipient('rejected')] }),
      }),
      { dead: { rejected: 1 } },
    ],
    [
      'a copy of a message that is held',
      evidence({
        letter: letterOf(),
        row: rowOf({ state: 'held', recipients: [recipient('uncertain')], history: [{ at: 1, event: 'held' }] }),
      }),
      { held: 1 },
    ],
    [
      'cancelled, no copy',
      evidence({
        copies: none,
        offer: { cancelled: true },
        row: rowOf({ state: 'cancelled', recipients: [recipient('pending')] }),
      }),
      { cancelled: 1 },
    ],
    [
      'still in a lane',
      evidence({ copies: none, row: rowOf({ state: 'deferred', recipients: [recipient('deferred')] }) }),
      { pending: 1 },
    ],
    [
      'held, no copy, and an operator said that it had arrived',
      evidence({ copies: none, row: rowOf({ history: [{ at: 1, event: 'resolved', detail: 'as sent' }] }) }),
      {},
    ],
    [
      'held, no copy, and an operator gave it up',
      evidence({
        copies: none,
        row: rowOf({ ...gone, reason: 'uncertain', history: [{ at: 1, event: 'resolved', detail: 'as drop' }] }),
      }),
      { dropped: 1, dead: {} },
    ],
    ['still in the intake', evidence({ copies: none, row: null, inIntake: true }), { pending: 1 }],
    ['never accepted, gone', evidence({ copies: none, row: null, offer: { accepted: false } }), { accepted: 0 }],
  ])('%s', (_, given, counts) => {
    expect(judge([given])).toMatchObject({ accepted: 1, lost: 0, violations: [], ...counts });
  });
});

describe('breaks a promise:', () => {
  const dead = { state: 'dead', reason: 'rejected', recipients: [recipient('rejected')] } as const;
  test.each<[string, Evidence, RegExp]>([
    ['two copies, no uncertain attempt', evidence({ copies: twice }), /2 copies, and 0 uncertain/],
    [
      'three copies, one uncertain attempt',
      evidence({ copies: new Map([[to, [copy(), copy(), copy()]]]), row: rowOf({ history: [uncertain] }) }),
      /3 copies, and 1 uncertain/,
    ],
    ['two copies of one that was never accepted', evidence({ copies: twice, offer: { accepted: false } }), /2 copies/],
    ['no copy, and the ledger says accepted', evidence({ copies: none }), /the ledger says accepted/],
    [
      'rejected by a server that takes everything',
      evidence({ copies: none, letter: letterOf(), row: rowOf(dead), takesAll: true }),
      /its server would have taken it/,
    ],
    [
      'a copy, and the ledger says rejected',
      evidence({ letter: letterOf(), row: rowOf(dead) }),
      /the ledger says rejected/,
    ],
    [
      'a copy, and in a dead letter',
      evidence({ letter: letterOf(), row: rowOf({ state: 'partial' }) }),
      /is in a dead letter/,
    ],
    ['dead without a dead letter', evidence({ copies: none, row: rowOf(dead) }), /is lost/],
    [
      'dead with another’s dead letter',
      evidence({ copies: none, letter: letterOf('other@x'), row: rowOf(dead) }),
      /is lost/,
    ],
    ['neither in the ledger nor in a queue', evidence({ copies: none, row: null }), /is lost/],
    ['a copy after it was cancelled', evidence({ offer: { cancelled: true } }), /cancelled message/],
    ['a copy before its time', evidence({ offer: { sendAt: 101 } }), /too early/],
    [
      'no copy for one who was refused, although an operator said that the others have it',
      evidence({
        copies: none,
        row: rowOf({ ...dead, state: 'partial', history: [{ at: 1, event: 'resolved', detail: 'as sent' }] }),
      }),
      /is lost/,
    ],
    ['copies that differ', evidence({ contents: 2 }), /2 different contents/],
    [
      'a dead letter of a sent message',
      evidence({ letter: letterOf('other@x') }),
      /dead letter, but the ledger says sent/,
    ],
  ])('%s', (_, given, said) => {
    const { violations } = judge([given]);
    expect(violations.flatMap(({ what }) => what).join('; ')).toMatch(said);
  });

  test('and what is lost is counted by recipient', () => {
    const second = 't1.1@relay.sink.test';
    const both = evidence({ offer: { to: [to, second] }, copies: new Map(), row: null });
    expect(judge([both]).lost).toBe(2);
  });
});
