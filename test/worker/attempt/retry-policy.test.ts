/** The retry policy: its schedule, its bounds, and that every outcome leads to exactly one decision that loses no recipient. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { textOf } from '../../support/source.ts';
import type { RecipientState } from '../../../src/queue/ledger/ledger.ts';
import type { Outcome, RecipientOutcome } from '../../../src/transport/transport.ts';
import { decide, expire, faultPauses, retryDelayMs } from '../../../src/worker/attempt/retry-policy.ts';

const policy = { firstDelayMs: 30_000, maxDelayMs: 3_600_000, lifetimeMs: 86_400_000, onUncertain: 'retry' } as const;
const reply = { code: '450', enhancedCode: null, text: 'later' };
const deadline = 10 * 86_400_000;

const pending = (address: string): RecipientState => ({ address, outcome: 'pending', code: null, reply: null });
const got = (address: string, outcome: RecipientOutcome['outcome'], more: object = {}): RecipientOutcome => ({
  address,
  outcome,
  scope: 'recipient',
  reply,
  ...more,
});
const attempt = (outcomes: readonly RecipientOutcome[], more: object = {}) => ({
  outcome: { kind: 'settled', recipients: outcomes } satisfies Outcome,
  attributed: null,
  recipients: outcomes.map(({ address }) => pending(address)),
  attempt: 1,
  now: 0,
  deadline,
  policy,
  random: () => 0.5,
  ...more,
});

describe('the schedule', () => {
  test('is the one that the docs print', () => {
    const golden = [1, 2, 3, 4, 5, 6, 7, 8, 9, 30].map((n) => [
      retryDelayMs(n, policy, () => 0) / 1000,
      retryDelayMs(n, policy, () => 1 - Number.EPSILON) / 1000,
    ]);
    expect(golden).toEqual([
      [30, 45],
      [60, 90],
      [120, 180],
      [240, 360],
      [480, 720],
      [960, 1440],
      [1920, 2880],
      [2400, 3600],
      [2400, 3600],
      [2400, 3600],
    ]);
    const rows = textOf('docs/retries.md').matchAll(/^\| (\d+)\+? \| (\d+)–(\d+) s \|/gm);
    const printed = [...rows].map(([, n, low, high]) => [Number(n), Number(low), Number(high)]);
    expect(printed).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n, i) => [n, ...golden[i]!]));
  });

  test('stays within its bounds and does not fall, whatever the settings', () => {
    fc.assert(
      fc.property(
        fc.record({
          firstDelayMs: fc.integer({ min: 1, max: 100_000 }),
          maxDelayMs: fc.integer({ min: 1, max: 10_000_000 }),
        }),
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (settings, n, random) => {
          const delay = retryDelayMs(n, settings, () => random);
          expect(delay).toBeGreaterThanOrEqual(Math.min(settings.firstDelayMs, settings.maxDelayMs));
          expect(delay).toBeLessThanOrEqual(Math.max(settings.maxDelayMs, 1));
          expect(retryDelayMs(n + 1, settings, () => random)).toBeGreaterThanOrEqual(delay);
        },
      ),
    );
  });

  test('gives way to a delay that the server names, longer or shorter', () => {
    expect(decide(attempt([got('a', 'deferred', { retryAfterMs: 5_000 })]))).toMatchObject({
      kind: 'retry',
      at: 5_000,
    });
    const both = [got('a', 'deferred', { retryAfterMs: 5_000 }), got('b', 'deferred', { retryAfterMs: 9_000_000 })];
    expect(decide(attempt(both))).toMatchObject({ kind: 'retry', at: 9_000_000 });
  });

  test('ends with one last try shortly before the deadline, and then with `expired`', () => {
    const close = decide(attempt([got('a', 'deferred')], { attempt: 9, deadline: 600_000 }));
    expect(close).toMatchObject({ kind: 'retry', at: 570_000 });
    const closer = decide(attempt([got('a', 'deferred')], { attempt: 9, deadline: 59_000 }));
    expect(closer).toMatchObject({ kind: 'settle', state: 'dead', reason: 'expired' });
  });
});

describe('a decision', () => {
  const outcomes = fc.uniqueArray(
    fc.record({
      address: fc.stringMatching(/^[a-z]{1,6}$/),
      outcome: fc.constantFrom('accepted', 'deferred', 'rejected', 'uncertain' as const),
    }),
    { selector: ({ address }) => address, minLength: 1, maxLength: 20 },
  );

  test('keeps every recipient, never takes back an accepted one, and is `sent` only if all were accepted', () => {
    fc.assert(
      fc.property(
        outcomes,
        fc.constantFrom('retry', 'hold' as const),
        fc.integer({ min: 1, max: 200_000 }),
        (list, onUncertain, left) => {
          const results = list.map(({ address, outcome }) => got(address, outcome));
          const decision = decide(attempt(results, { policy: { ...policy, onUncertain }, deadline: left }));
          const all = (outcome: string) => list.every((one) => one.outcome === outcome);
          const some = (outcome: string) => list.some((one) => one.outcome === outcome);
          const settled = decision.kind === 'settle' ? decision : null;
          const again = decision.kind === 'retry' ? decision : null;
          const recipients = (settled ?? again)!.recipients;
          expect(recipients.map(({ address, outcome }) => ({ address, outcome }))).toEqual(list);
          const worthIt = some('deferred') || (onUncertain === 'retry' && some('uncertain'));
          expect(again === null || (worthIt && again.at < left)).toBe(true);
          expect(settled?.state === 'sent').toBe(all('accepted'));
          expect(settled?.reason === null).toBe(all('accepted'));
          const held = settled !== null && onUncertain === 'hold' && some('uncertain');
          expect(settled?.state === 'held').toBe(held);
          const partial = settled !== null && !held && some('accepted') && !all('accepted');
          expect(settled?.state === 'partial').toBe(partial);
          const dead = list.filter(({ outcome }) => outcome !== 'accepted').map(({ address }) => address);
          expect(settled === null ? dead : settled.dead.map(({ address }) => address)).toEqual(dead);
        },
      ),
    );
  });

  test('does not touch recipients who had their copy before', () => {
    const before: RecipientState = { address: 'a', outcome: 'accepted', code: '250', reply: 'ok' };
    const decision = decide(attempt([got('b', 'accepted')], { recipients: [before, pending('b')] }));
    expect(decision).toMatchObject({
      kind: 'settle',
      state: 'sent',
      recipients: [before, { address: 'b', outcome: 'accepted' }],
    });
  });

  test('about a recipient that the outcome does not mention is to try again, never `sent`', () => {
    const decision = decide(attempt([got('a', 'accepted')], { recipients: [pending('a'), pending('forgotten')] }));
    expect(decision).toMatchObject({ kind: 'retry' });
  });

  test('names the reason: too large before rejected, uncertain before expired', () => {
    expect(decide(attempt([got('a', 'rejected', { tooLarge: true })]))).toMatchObject({ reason: 'too-large' });
    expect(decide(attempt([got('a', 'rejected')]))).toMatchObject({ reason: 'rejected', state: 'dead' });
    expect(expire([{ ...pending('a'), outcome: 'uncertain' }, pending('b')])).toMatchObject({ reason: 'uncertain' });
    expect(expire([pending('b')])).toMatchObject({ reason: 'expired', state: 'dead' });
  });

  test('about a fault of the connector is to postpone, with the pause that was told', () => {
    const fault = { kind: 'connector-fault', fault: 'throttled', reply, pauseMs: 7_000 } as const;
    expect(decide({ ...attempt([]), outcome: fault })).toEqual({
      kind: 'postpone',
      fault: 'throttled',
      reply,
      toldMs: 7_000,
    });
  });
});

test('the docs print the pause of every fault', () => {
  const rows = textOf('docs/retries.md').matchAll(/^\| `(\w+)` \| (\d+) s \| (\d+) s \|/gm);
  const printed = Object.fromEntries(
    [...rows].map(([, fault, first, longest]) => [
      fault,
      { firstMs: Number(first) * 1000, longestMs: Number(longest) * 1000 },
    ]),
  );
  expect(printed).toEqual(faultPauses);
});

test('a wrong password costs a handful of logins an hour: each pause is twice the one before', () => {
  const { firstMs, longestMs } = faultPauses.auth;
  let time = 0;
  let tries = 0;
  for (let pause = firstMs; time < 3_600_000; pause = Math.min(longestMs, pause * 2)) {
    tries += 1;
    time += pause;
  }
  expect(tries).toBeLessThanOrEqual(7);
});

describe('a refusal that is open', () => {
  const open = { suspect: null, atSender: false } as const;
  const refused = { code: '550', enhancedCode: null, text: 'no' };
  const attributed = (verdict: string, change: object = {}) => ({
    verdict,
    refusals: 3,
    refusal: { open, reply: refused, class: '5', ...change },
  });
  const decided = (more: object) =>
    decide(attempt([got('a', 'rejected', { open, reply: refused }), got('b', 'rejected', { reply: refused })], more));

  test('sets the message aside for the hold; what was not open is rejected, the rest deferred with its reply', () => {
    expect(decided({ attributed: attributed('aside') })).toMatchObject({
      kind: 'set-aside',
      at: 3_600_000,
      fault: null,
      recipients: [
        { address: 'a', outcome: 'deferred', code: '550', reply: 'no' },
        { address: 'b', outcome: 'rejected' },
      ],
    });
    const policyOf = { ...policy, attributeWithinMs: 60_000 };
    expect(decided({ attributed: attributed('aside'), policy: policyOf })).toMatchObject({ at: 60_000 });
  });

  test('that names a fault is tried again by the schedule, which counts refusals, or when the server says', () => {
    const delay = retryDelayMs(3, policy, () => 0.5);
    expect(decided({ attributed: attributed('aside', { class: 'fault' }) })).toMatchObject({ at: delay });
    const told = { class: 'fault', open: { suspect: 'quota', atSender: false, pauseMs: 7_000 } };
    expect(decided({ attributed: attributed('aside', told) })).toMatchObject({ at: 7_000 });
  });

  test('is believed where it is the message’s own; without time for another try, it waits until its deadline', () => {
    expect(decided({ attributed: attributed('own') })).toMatchObject({
      kind: 'settle',
      state: 'dead',
      reason: 'rejected',
    });
    expect(decided({ attributed: attributed('aside'), deadline: 50_000 })).toMatchObject({
      kind: 'set-aside',
      at: 50_000,
    });
  });

  test('that is the connector’s pauses the lane, and makes no dead letter even if no time is left', () => {
    const fault = { fault: 'blocked', reply: refused, toldMs: null };
    expect(decided({ attributed: attributed('fault') })).toMatchObject({ kind: 'set-aside', fault });
    const late = decided({ attributed: attributed('fault'), deadline: 50_000 });
    expect(late).toMatchObject({ kind: 'set-aside', at: 50_000, fault });
    expect(decided({ attributed: attributed('fault', { class: '4' }) })).toMatchObject({
      fault: { fault: 'throttled' },
    });
    expect(decided({ attributed: attributed('again') })).toMatchObject({ kind: 'set-aside', fault: null });
  });

  test('that shows a server that throttles is tried again soon, as nobody else may be there to show that it takes mail again', () => {
    const at = (verdict: 'fault' | 'again', refusals: number) => {
      const shown = { ...attributed(verdict, { class: '4' }), refusals };
      return decided({ attributed: shown });
    };
    expect(at('fault', 1)).toMatchObject({ at: 2_000 });
    expect(at('again', 3)).toMatchObject({ at: 8_000 });
    // Never later than the schedule.
    expect(at('again', 30)).toMatchObject({ at: retryDelayMs(30, policy, () => 0.5) });
  });
});
