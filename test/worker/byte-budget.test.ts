/** The budget of bytes: its bounds, its order, and that no message waits for ever; over random arrivals, releases and cancellations. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Attachment, Message } from '../../src/message/message.ts';
import { bytesHeld, createByteBudget, smallBytes } from '../../src/worker/byte-budget.ts';

const kib = 1024;
const never = new AbortController().signal;
/** Lets promises that are settled by now reach their awaiters. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 4; i += 1) await Promise.resolve();
};

interface Guest {
  readonly lane: string;
  readonly bytes: number;
  readonly quit: AbortController;
  state: 'waiting' | 'in' | 'out' | 'gone';
  release: () => void;
}

function house(capacity: number, end: AbortSignal = never) {
  const budget = createByteBudget(() => capacity, end);
  const guests: Guest[] = [];
  const come = (lane: string, bytes: number): Guest => {
    const guest: Guest = { lane, bytes, quit: new AbortController(), state: 'waiting', release: () => undefined };
    guests.push(guest);
    const enter = (release: (() => void) | null): void => {
      guest.state = release === null ? 'gone' : 'in';
      guest.release = release ?? guest.release;
    };
    const answer = budget.acquire(lane, bytes, guest.quit.signal);
    if (answer instanceof Promise) void answer.then(enter);
    else enter(answer);
    return guest;
  };
  const leave = (guest: Guest): void => {
    guest.state = 'out';
    guest.release();
  };
  const within = (state: Guest['state']): Guest[] => guests.filter((guest) => guest.state === state);
  return { budget, come, leave, within };
}

const sum = (guests: readonly Guest[]): number => guests.reduce((all, { bytes }) => all + bytes, 0);

/** What must not be, of who is in and who waits first. */
function wrong(inside: readonly Guest[], first: Guest | undefined, capacity: number): string[] {
  const found: string[] = [];
  const over = (guests: readonly Guest[], most: number): boolean => guests.length > 1 && sum(guests) > most;
  const of = (lane: string): Guest[] => inside.filter((guest) => guest.lane === lane);
  if (over(inside, capacity)) found.push('over the whole');
  for (const lane of ['a', 'b', 'c']) if (over(of(lane), capacity / 2)) found.push(`${lane} is over half`);
  if (first === undefined) return found;
  if (!over([...inside, first], capacity) && !over([...of(first.lane), first], capacity / 2)) {
    found.push('the first waits although there is room');
  }
  return found;
}

describe('the budget', () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ lane: fc.constantFrom('a', 'b', 'c'), kib: fc.integer({ min: 65, max: 1_400 }) }),
    },
    { weight: 3, arbitrary: fc.record({ leave: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ giveUp: fc.nat() }) },
  );

  test('is never exceeded but by a message that is alone; half is the most of a connector; who can go in is in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const capacity = 1_000 * kib;
        const { budget, come, leave, within } = house(capacity);
        for (const what of steps) {
          const inside = within('in');
          const waiting = within('waiting');
          if ('lane' in what) come(what.lane, what.kib * kib);
          else if ('leave' in what && inside.length > 0) leave(inside[what.leave % inside.length]!);
          else if ('giveUp' in what && waiting.length > 0) waiting[what.giveUp % waiting.length]!.quit.abort();
          await settle();
          expect(budget.held()).toBe(sum(within('in')));
          expect(wrong(within('in'), within('waiting')[0], capacity)).toEqual([]);
        }
        // A waiting message is admitted once the others have left.
        for (let inside = within('in'); inside.length > 0; inside = within('in')) {
          leave(inside[0]!);
          await settle();
        }
        expect(within('waiting')).toEqual([]);
        expect(budget.held()).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('is first come, first served within a connector, whatever the sizes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 65, max: 700 }), { minLength: 2, maxLength: 20 }), async (sizes) => {
        const { come, leave, within } = house(1_000 * kib);
        const guests = sizes.map((size) => come('a', size * kib));
        await settle();
        const order: Guest[] = [];
        for (let inside = within('in'); inside.length > 0; inside = within('in')) {
          for (const guest of inside) if (!order.includes(guest)) order.push(guest);
          leave(inside[0]!);
          await settle();
        }
        expect(order.map((guest) => guests.indexOf(guest))).toEqual(guests.map((_guest, i) => i));
      }),
    );
  });

  test('lets other connectors’ messages pass while the large ones of one wait, and small ones always', async () => {
    const { come, within } = house(1_000 * kib);
    const large = Array.from({ length: 5 }, () => come('large', 400 * kib));
    const other = come('other', 300 * kib);
    const small = come('large', smallBytes);
    await settle();
    expect(large.map(({ state }) => state)).toEqual(['in', 'waiting', 'waiting', 'waiting', 'waiting']);
    expect([other.state, small.state]).toEqual(['in', 'in']);
    // No later message may take the room that the first one in line needs.
    const needs = come('needs', 500 * kib);
    const late = come('late', 100 * kib);
    await settle();
    expect([needs.state, late.state]).toEqual(['waiting', 'waiting']);
    expect(within('in')).toHaveLength(3);
  });

  test('lets a message that is larger than the whole pass alone', async () => {
    const { come, leave } = house(1_000 * kib);
    const first = come('a', 100 * kib);
    const huge = come('b', 5_000 * kib);
    const next = come('c', 100 * kib);
    await settle();
    expect([first.state, huge.state, next.state]).toEqual(['in', 'waiting', 'waiting']);
    leave(first);
    await settle();
    expect([huge.state, next.state]).toEqual(['in', 'waiting']);
    leave(huge);
    leave(huge);
    await settle();
    expect(next.state).toBe('in');
  });

  test('turns away all waiting messages when it ends, and admits none to the line after that', async () => {
    const end = new AbortController();
    const { come, leave } = house(1_000 * kib, end.signal);
    const [inside, ...waiting] = Array.from({ length: 3 }, () => come('a', 600 * kib));
    end.abort();
    const late = come('a', 600 * kib);
    await settle();
    expect([inside!.state, ...waiting.map(({ state }) => state), late.state]).toEqual(['in', 'gone', 'gone', 'gone']);
    leave(inside!);
  });
});

describe('the bytes of a message', () => {
  const message = (attachments: readonly Attachment[], more: Partial<Message> = {}): Message => ({
    envelope: { to: ['b@example.net'] },
    priority: 'normal',
    to: [],
    cc: [],
    bcc: [],
    replyTo: [],
    references: [],
    headers: {},
    attachments,
    ...more,
  });
  const stored: Attachment = { ref: 'f'.repeat(64), size: 5_700_000, disposition: 'attachment' };

  test('are known without reading it: text and attachments as base64, a finished message as it is', () => {
    expect(bytesHeld(message([stored]))).toBe(7_800_000);
    expect(bytesHeld(message([stored], { text: 'x'.repeat(570) }))).toBe(7_800_780);
    expect(bytesHeld(message([], { raw: { ref: 'f'.repeat(64), size: 1_000 } }))).toBe(1_000);
  });

  test.each([
    ['line ends', '\n'.repeat(1_000_000), 2_700_000],
    ['letters that are written as three characters', 'a='.repeat(500_000), 2_000_000],
    ['letters beyond ASCII', 'é'.repeat(500_000), 1_360_000],
  ])('are those of the composed mail for a large text of %s', (_, text, least) => {
    expect(bytesHeld(message([], { text }))).toBeGreaterThan(least);
    expect(bytesHeld(message([], { text }))).toBeLessThan(least * 1.1);
  });

  test('are those of a part where it is sent part by part', () => {
    expect(bytesHeld(message([stored, stored]), 570_000)).toBe(780_000);
  });
});
