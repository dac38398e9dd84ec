/** What an attempt came to, as it is stored with its entry and read from it. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attemptOf, entryOf, noteOfAttempt, type StoredEntry } from '../../../src/queue/ledger/attempt-log.ts';
import type { RecipientState } from '../../../src/queue/ledger/history.ts';

const about = { worker: 'w1', ms: 120, bytes: 4_321, enhanced: new Map([['a1', '4.2.0']]) };
const pending = (address: string): RecipientState => ({ address, outcome: 'pending', code: null, reply: null });
const state = (address: string, outcome: RecipientState['outcome'], code: string, reply: string): RecipientState => ({
  address,
  outcome,
  code,
  reply,
});

function stored(before: readonly RecipientState[], after: readonly RecipientState[]): StoredEntry {
  const detail = after.find(({ reply }) => reply !== null)?.reply ?? null;
  const entry = { at: 1_000, event: 'deferred', connector: 'relay', ...(detail === null ? {} : { detail }) };
  return JSON.parse(JSON.stringify({ ...entry, tried: noteOfAttempt(about, before, after, detail) })) as StoredEntry;
}

const outcome = fc.constantFrom('pending', 'accepted', 'deferred', 'rejected', 'uncertain' as const);
const reply = fc.constantFrom(null, 'a', 'b', 'c');

test('each recipient who was tried is read as the attempt left it, and no other', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ was: outcome, is: outcome, reply }), { maxLength: 40 }), (all) => {
      const before = all.map(({ was }, i) => ({ ...pending(`a${i}`), outcome: was }));
      const after = all.map(({ was, is, reply: said }, i): RecipientState =>
        was === 'accepted' || was === 'rejected'
          ? before[i]!
          : { address: `a${i}`, outcome: is, code: '4', reply: said },
      );
      const read = after.map((each) => ({ ...each, enhancedCode: each.address === 'a1' ? '4.2.0' : null }));
      const tried = read.filter((_, i) => !['accepted', 'rejected'].includes(before[i]!.outcome));
      // Later attempts change the row; the attempt stays what it was.
      const later = after.map(({ address }) => state(address, 'accepted', '250', 'ok'));
      expect(attemptOf(stored(before, after), later)).toEqual({
        at: 880,
        connector: 'relay',
        worker: 'w1',
        durationMs: 120,
        bytes: 4_321,
        recipients: tried,
      });
    }),
  );
});

test('one recipient costs some 70 bytes, and 500 alike no more', () => {
  const sizeOf = (count: number): number => {
    const before = Array.from({ length: count }, (_, i) => pending(`a${i}@example.net`));
    const entry = stored(
      before,
      before.map(({ address }) => state(address, 'accepted', '250', 'x'.repeat(500))),
    );
    return JSON.stringify(entry.tried).length;
  };
  expect(sizeOf(1)).toBeLessThan(75);
  expect(sizeOf(500)).toBe(sizeOf(1));
});

test('attack: a server with another long reply for each of 500 recipients costs ten replies', () => {
  const before = Array.from({ length: 500 }, (_, i) => pending(`a${i}@example.net`));
  const entry = stored(
    before,
    before.map(({ address }, i) => state(address, 'rejected', '550', `${i}${'x'.repeat(400)}`)),
  );
  expect(JSON.stringify(entry.tried).length).toBeLessThan(7_000);
  const read = attemptOf(entry, before)!.recipients;
  expect(read.map(({ address, code }) => [address, code])).toEqual(before.map(({ address }) => [address, '550']));
  expect(read.filter(({ reply: said }) => said !== null)).toHaveLength(10);
});

describe('an entry', () => {
  test('of an earlier release tells of no attempt', () => {
    const entry = { at: 1, event: 'sent', connector: 'relay', attempt: 1 };
    expect([attemptOf(entry, []), entryOf(entry)]).toEqual([null, entry]);
  });

  test.each([
    [{ tried: 7 }],
    [{ tried: { groups: 'x' } }],
    [{ tried: { worker: 1, ms: 1, bytes: 1, groups: [] } }],
    [{ tried: { worker: 'w', ms: 1, bytes: 1, groups: [7] } }],
    [{ tried: { worker: 'w', ms: 1, bytes: 1, groups: [['accepted'], ['accepted']] } }],
  ])('that another program wrote as %j tells of none, and breaks no reader', (more) => {
    expect(attemptOf({ at: 1, event: 'sent', ...more } as never, [pending('a')])).toBeNull();
  });

  test('beside recipients that are no list tells of none', () => {
    const entry = { at: 1, event: 'sent', tried: { ...about, groups: [['accepted', '250']] } };
    expect(attemptOf(entry as never, {} as never)).toBeNull();
  });

  test('that has indexes without a recipient lists nobody for them', () => {
    const entry = { at: 1, event: 'sent', tried: { ...about, groups: [['accepted', '250', null, [5, -1, 'x']]] } };
    expect(attemptOf(entry as never, [pending('a')])?.recipients).toEqual([]);
  });
});
