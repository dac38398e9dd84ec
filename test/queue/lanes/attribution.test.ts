/** Attribution in Redis: which attempts answer a refusal, how many that are alike make a fault, and that nothing is left behind. */
import { describe, expect, test } from 'vitest';
import { openQueues } from '../../../src/queue/open.ts';
import type { Accusation } from '../../../src/queue/lanes/attribution.ts';
import type { LedgerState, NewRow, Settlement } from '../../../src/queue/ledger/ledger.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';

const connector = 'relay';
const rowOf = (id: string): NewRow => ({
  id,
  connector,
  rule: 'default',
  messageId: `<${id}@example.com>`,
  recipients: [{ address: `${id}@example.net`, outcome: 'pending', code: null, reply: null }],
  acceptedAt: 1,
  deadline: 2 ** 42,
});

const settlement = (state: LedgerState, change: Partial<Settlement> = {}): Settlement => ({
  state,
  recipients: rowOf('m').recipients,
  entry: { at: 9, event: state, connector },
  retryAt: null,
  reason: null,
  retentionMs: state === 'deferred' ? null : 60_000,
  deadLetter: null,
  countAttempt: true,
  connectorWorks: true,
  ...change,
});

/** A lane whose messages are moved by hand, as workers would. */
function lane() {
  const redis = testConnection();
  const open = openQueues(redis, { prefix: testPrefix(), shards: shardCount() });
  const { lanes, ledger, lockKey } = open;
  const queue = lanes.queue(connector);
  const keys = open.shards.keysOf(connector);
  const { attribution } = lanes;

  /** Until Redis' clock, in ms, shows another time: two steps of one ms have no order. */
  const tick = async (): Promise<void> => {
    const at = await msOf();
    while ((await msOf()) === at);
  };
  const msOf = async (): Promise<number> => {
    const [seconds, micros] = await redis.time();
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  };
  const begin = async (id: string): Promise<void> => {
    await tick();
    await ledger.create(rowOf(id));
    const row = (await ledger.read(id))!;
    await redis.set(lockKey(connector, id), id);
    const about = { lockKey: lockKey(connector, id), token: id, now: 1, worker: 'w', overOpen: false };
    expect(await ledger.fence(rowOf(id), { ...about, attempts: row.attempts })).toBe('go');
    await tick();
  };
  const accuse = (id: string, change: Partial<Accusation> = {}) => {
    const about = {
      alike: '5 no',
      class: '5',
      atSender: false,
      reply: '550 no',
      holdMs: 3_600_000,
      random: 0,
    } as const;
    return attribution.accuse(connector, { id, ...about, ...change });
  };
  const setAside = async (id: string): Promise<void> => {
    await ledger.settle(rowOf(id), id, settlement('deferred', { countAttempt: false, retryAt: 2 ** 41 }));
    await queue.add('message', {}, { jobId: id, delay: 3_600_000 });
  };
  return {
    redis,
    lanes,
    ledger,
    queue,
    keys,
    attribution,
    begin,
    accuse,
    setAside,
    /** A whole attempt that is refused. → the verdict. */
    async refuse(id: string, change: Partial<Accusation> = {}) {
      await begin(id);
      const { verdict } = await accuse(id, change);
      if (verdict !== 'own') await setAside(id);
      return verdict;
    },
    accept: (id: string) => ledger.settle(rowOf(id), id, settlement('sent', { reached: 1 })),
    waitFor: (id: string) => queue.add('message', {}, { jobId: id }),
    /** Ids in the order in which they will be taken. */
    waiting: async () => (await redis.lrange(keys.queue(`lane-${connector}`, 'wait'), 0, -1)).toReversed(),
    notes: () => redis.hkeys(keys.attribution(connector)),
  };
}

/** Refused after it was called as the canary message. */
async function refuseCalled(on: ReturnType<typeof lane>, id: string, change: Partial<Accusation>): Promise<string> {
  await on.redis.hset(on.keys.attribution(connector), `c:${id}`, '1');
  return on.refuse(id, change);
}

describe('an answer', () => {
  test('is an acceptance whose attempt began after the refusal, and no earlier one', async () => {
    const on = lane();
    await on.begin('before');
    expect(await on.refuse('m')).toBe('aside');
    expect(await on.accept('before')).toBe('answered');
    expect(await on.attribution.answer(connector)).toBe(0);
    expect(await on.ledger.read('m')).toMatchObject({ setAside: true, attributed: null, attempts: 0 });
    await on.begin('after');
    expect(await on.accept('after')).toBe('answered');
    expect(await on.attribution.answer(connector)).toBe(1);
    expect(await on.waiting()).toEqual(['m']);
    // It was the message's, and its attempt counts now.
    expect(await on.ledger.read('m')).toMatchObject({
      setAside: false,
      attributed: '5 no',
      attempts: 1,
      retryAt: null,
    });
    expect(await on.notes()).toEqual([]);
  });

  test('returns those that were set aside to the front, in the order of their refusals', async () => {
    const on = lane();
    for (const id of ['z', 'a', 'k']) await on.refuse(id, { alike: `5 ${id}` });
    await on.waitFor('next');
    await on.begin('after');
    await on.accept('after');
    expect(await on.attribution.answer(connector)).toBe(3);
    expect(await on.waiting()).toEqual(['z', 'a', 'k', 'next']);
  });

  test('that finds a message not aside yet leaves it for the next time', async () => {
    const on = lane();
    await on.begin('m');
    await on.accuse('m');
    await on.begin('after');
    await on.accept('after');
    // Killed here, or slow: between the refusal and the delay.
    expect(await on.attribution.answer(connector)).toBe(0);
    await on.setAside('m');
    expect(await on.attribution.answer(connector)).toBe(1);
    expect(await on.ledger.read('m')).toMatchObject({ attributed: '5 no' });
  });

  test('is asked for by no acceptance while nothing is open', async () => {
    const on = lane();
    await on.begin('m');
    expect(await on.accept('m')).toBe('ok');
  });
});

describe('the canary message', () => {
  test('is the waiting one that chance names; it is taken next, and the others keep their order', async () => {
    const on = lane();
    for (const id of ['a', 'b', 'c', 'd']) await on.waitFor(id);
    await on.refuse('m', { random: 0.3 });
    expect(await on.waiting()).toEqual(['c', 'a', 'b', 'd']);
    expect(await on.notes()).toContain('c:c');
  });

  test('is one with a priority where no other waits', async () => {
    const on = lane();
    for (const id of ['a', 'b']) await on.queue.add('message', {}, { jobId: id, priority: 3 });
    await on.refuse('m', { random: 0.9 });
    expect(await on.waiting()).toEqual(['b']);
    expect(await on.queue.getJobCounts('prioritized')).toEqual({ prioritized: 1 });
  });

  test('is the next message that begins, where none waits: one in a lane of its own', async () => {
    const on = lane();
    const fault = { alike: 'fault throttled', class: 'fault' } as const;
    await on.begin('together');
    expect(await on.refuse('m', fault)).toBe('aside');
    // It had begun before: it says nothing that the first did not.
    expect((await on.accuse('together', fault)).verdict).toBe('aside');
    expect(await on.refuse('later', fault)).toBe('fault');
  });
});

describe('a fault of the connector', () => {
  test.for([
    ['fault', 2, 1],
    ['5', 5, 3],
    ['4', 3, 2],
  ] as const)(
    'is shown by refusals of class %s that are alike: %i, of them %i canary messages',
    async ([kind, count, canaries]) => {
      const on = lane();
      await on.waitFor('someone');
      const change = { class: kind, alike: `${kind} same` };
      const open = kind === '4' ? 'own' : 'aside';
      // As many as there may be, with a canary message too few.
      for (let i = 0; i < count + 3; i += 1) {
        const called = i < canaries - 1;
        expect(await (called ? refuseCalled(on, `m${i}`, change) : on.refuse(`m${i}`, change))).toBe(open);
      }
      expect(await refuseCalled(on, 'last', change)).toBe('fault');
    },
  );

  test('is not shown by one refusal too few', async () => {
    const on = lane();
    await on.waitFor('someone');
    for (let i = 0; i < 4; i += 1) expect(await refuseCalled(on, `m${i}`, {})).toBe('aside');
    expect(await refuseCalled(on, 'other', { alike: '5 something else' })).toBe('aside');
    expect(await refuseCalled(on, 'm4', {})).toBe('fault');
  });

  test('where a third of the mail is refused by itself, is not shown by so many in a row that chance would do it', async () => {
    const on = lane();
    await on.waitFor('someone');
    await on.redis.hset(on.keys.refusals(connector), { 'own:4': 100, ownSent: 0 });
    await on.redis.hset(on.keys.connectorStats(connector), 'sent', 200);
    const change = { class: '4', alike: '4 same' } as const;
    // 0.31 ^ 5 is more than one in a thousand, 0.31 ^ 6 is less.
    for (let i = 0; i < 5; i += 1) expect(await refuseCalled(on, `m${i}`, change)).toBe('own');
    expect(await refuseCalled(on, 'last', change)).toBe('fault');
  });

  test('is compared with the refusals that others have answered: each of them counts, and old ones count less', async () => {
    const on = lane();
    const ratio = (): Promise<(string | null)[]> =>
      on.redis.hmget(on.keys.refusals(connector), 'own:5', 'own:4', 'ownSent');
    await on.refuse('permanent');
    await on.begin('temporary');
    await on.accuse('temporary', { class: '4', alike: '4 busy' });
    await on.begin('ok');
    await on.accept('ok');
    await on.attribution.answer(connector);
    expect((await ratio()).slice(0, 2)).toEqual(['1', '1']);
    await on.redis.hset(on.keys.refusals(connector), { 'own:5': 99, 'own:4': 40 });
    await on.redis.hincrby(on.keys.connectorStats(connector), 'sent', 5_000);
    await on.refuse('another');
    await on.begin('ok2');
    await on.accept('ok2');
    await on.attribution.answer(connector);
    expect((await ratio()).slice(0, 2)).toEqual(['50', '20']);
    expect(Number((await ratio())[2])).toBeGreaterThan(2_000);
  });

  test('is shown by twenty permanent refusals of any text', async () => {
    const on = lane();
    await on.waitFor('someone');
    for (let i = 0; i < 19; i += 1) expect(await on.refuse(`m${i}`, { alike: `5 text ${i}` })).toBe('aside');
    expect(await refuseCalled(on, 'last', { alike: '5 text 20' })).toBe('fault');
  });

  test('is shown at MAIL without a canary message, as no recipient was named', async () => {
    const on = lane();
    await on.waitFor('someone');
    const change = { class: 'fault', alike: 'fault quota', atSender: true } as const;
    expect(await on.refuse('a', change)).toBe('aside');
    expect(await on.refuse('b', change)).toBe('fault');
  });

  test('is confirmed by other messages, and never by the one that confirmed it last', async () => {
    const on = lane();
    const change = { class: 'fault', alike: 'fault quota', atSender: true } as const;
    await on.refuse('a', change);
    expect(await on.refuse('b', change)).toBe('fault');
    await on.redis.del(on.keys.queue(`lane-${connector}`, 'delayed'));
    await on.begin('b');
    expect((await on.accuse('b', change)).verdict).toBe('again');
    await on.setAside('b');
    expect(await on.refuse('c', change)).toBe('fault');
  });

  test('ends with a mail that is taken and with nothing less; then all that were aside come back as they were', async () => {
    const on = lane();
    const fault = {
      firstMs: 1,
      longestMs: 1,
      toldMs: null,
      found: true,
      limits: { concurrency: 5, messagesPerMinute: null },
      longestHoldMs: 1,
      kind: 'blocked',
      reply: 'no',
    };
    const change = { class: 'fault', alike: 'fault blocked', atSender: true } as const;
    await on.refuse('a', change);
    await on.refuse('b', change);
    await on.lanes.fault(connector, fault);
    await on.redis.del(on.keys.connectorWait(connector));
    await on.begin('c');
    await on.ledger.settle(rowOf('c'), 'c', settlement('dead'));
    expect((await on.lanes.status(connector)).faults).toMatchObject({ fault: 'blocked' });
    await on.begin('d');
    expect(await on.accept('d')).toBe('recovered');
    expect(await on.attribution.answer(connector)).toBe(2);
    expect(await on.waiting()).toEqual(['a', 'b']);
    for (const id of ['a', 'b']) expect(await on.ledger.read(id)).toMatchObject({ setAside: false, attempts: 0 });
    expect((await on.lanes.status(connector)).faults).toBeNull();
  });
});

describe('a server that throttles', () => {
  test('takes back what was put off in its words before the others had shown it: at the front, and without an attempt', async () => {
    const on = lane();
    await on.waitFor('someone');
    const change = { class: '4', alike: '4 slow' } as const;
    const putOff = async (id: string): Promise<void> => {
      await on.ledger.settle(rowOf(id), id, settlement('deferred', { retryAt: 2 ** 41 }));
      await on.queue.add('message', {}, { jobId: id, delay: 3_600_000 });
    };
    for (const id of ['a', 'b']) {
      expect(await refuseCalled(on, id, change)).toBe('own');
      await putOff(id);
    }
    await on.refuse('other', { class: '4', alike: '4 greylisted' });
    await putOff('other');
    expect(await refuseCalled(on, 'c', change)).toBe('fault');
    await on.begin('d');
    await on.accept('d');
    expect(await on.attribution.answer(connector)).toBe(3);
    expect(await on.waiting()).toEqual(['a', 'b', 'c', 'someone']);
    for (const id of ['a', 'b', 'c']) expect(await on.ledger.read(id)).toMatchObject({ attempts: 0, setAside: false });
    expect(await on.ledger.read('other')).toMatchObject({ attempts: 1 });
  });

  test.for<[string, string[]]>([
    ['fault throttled', ['aside', 'aside', 'aside', 'aside', 'own', 'own']],
    ['fault blocked', ['aside', 'aside', 'own', 'own', 'own', 'own']],
  ])(
    'is not shown again by messages that have shown it (%s): after some further tries it is their own',
    async ([alike, further]) => {
      const on = lane();
      const change = { class: 'fault', alike, atSender: true } as const;
      const verdicts: string[] = [];
      for (let i = 0; i < 4; i += 1) {
        verdicts.push(await on.refuse('a', change), await on.refuse('b', change));
        // The lane recovers, and all that were set aside return.
        await on.redis.del(on.keys.connector(connector));
        await on.begin(`ok${i}`);
        await on.accept(`ok${i}`);
        await on.attribution.answer(connector);
        await on.queue.obliterate({ force: true });
      }
      expect(verdicts).toEqual(['aside', 'fault', ...further]);
      expect(Number(await on.redis.hget(on.keys.refusals(connector), 'own:fault'))).toBeGreaterThanOrEqual(2);
    },
  );

  test('may refuse a message three times before that is its own', async () => {
    const on = lane();
    const change = { class: 'fault', alike: 'fault throttled', atSender: true } as const;
    await on.redis.hset(on.keys.refusals(connector), { alike: change.alike, alikeAt: Date.now() });
    const verdicts: string[] = [];
    for (let i = 0; i < 4; i += 1) {
      verdicts.push(await on.refuse('m', change));
      await on.begin(`ok${i}`);
      await on.accept(`ok${i}`);
      await on.attribution.answer(connector);
      await on.queue.obliterate({ force: true });
    }
    expect(verdicts).toEqual(['aside', 'aside', 'aside', 'own']);
  });
});

describe('a message', () => {
  test('to which a refusal was attributed is believed the second time, and is no evidence against the connector', async () => {
    const on = lane();
    const change = { class: 'fault', alike: 'fault throttled', atSender: true } as const;
    await on.refuse('a', change);
    await on.begin('after');
    await on.accept('after');
    await on.attribution.answer(connector);
    expect(await on.refuse('a', change)).toBe('own');
    expect(await on.notes()).toEqual([]);
    // Two of them would be a fault.
    expect(await on.refuse('b', change)).toBe('aside');
    expect(await on.refuse('a', change)).toBe('own');
    // Refused for something else, it is open again.
    expect(await on.refuse('a', { alike: '5 other' })).toBe('aside');
  });

  test('without an answer for the whole hold is believed, and its refusal counts with those that come', async () => {
    const on = lane();
    for (let i = 0; i < 4; i += 1) {
      expect(await on.refuse(`m${i}`, { holdMs: 0 })).toBe('own');
      await on.ledger.settle(rowOf(`m${i}`), `m${i}`, settlement('dead'));
    }
    expect(await on.lanes.status(connector)).toMatchObject({ suspect: null });
    expect(await on.refuse('m4', { holdMs: 0 })).toBe('fault');
  });

  test('that has ended leaves no note: sent, dead, or cancelled and dropped', async () => {
    const on = lane();
    await on.begin('sent');
    await on.accuse('sent', { class: '4', alike: '4 a' });
    await on.accept('sent');
    await on.refuse('dead');
    await on.ledger.settle(rowOf('dead'), null, settlement('dead'));
    await on.refuse('cancelled');
    expect(await on.ledger.cancel('cancelled', 1, 60_000, null)).toBe(true);
    await on.attribution.forget(connector, 'cancelled');
    expect((await on.notes()).filter((field) => field.startsWith('m:'))).toEqual([]);
  });

  test('that was set aside is so no longer once a further attempt has a result of its own', async () => {
    const on = lane();
    await on.refuse('m');
    expect(await on.ledger.read('m')).toMatchObject({ setAside: true });
    await on.begin('m');
    await on.ledger.settle(rowOf('m'), 'm', settlement('deferred', { retryAt: 2 ** 41 }));
    expect(await on.ledger.read('m')).toMatchObject({ setAside: false, attempts: 1 });
  });

  test('set aside is counted with its reply and since when, for the operator', async () => {
    const on = lane();
    await on.refuse('a', { reply: '550 first' });
    await on.refuse('b', { reply: '550 second' });
    const { suspect } = await on.lanes.status(connector);
    expect(suspect).toMatchObject({ reply: '550 first', setAside: 2 });
    expect(Math.abs(Date.now() - suspect!.since)).toBeLessThan(600_000);
  });

  test('keeps its count and the beginning of its hold in its row, should Redis lose the notes', async () => {
    const on = lane();
    await on.refuse('m');
    await on.redis.del(on.keys.attribution(connector));
    await on.begin('m');
    expect(await on.accuse('m')).toMatchObject({ verdict: 'aside', refusals: 2 });
    await on.setAside('m');
    await on.redis.del(on.keys.attribution(connector));
    await on.begin('m');
    expect(await on.accuse('m', { holdMs: 1 })).toMatchObject({ verdict: 'own', refusals: 3 });
  });
});

test('`resume` and a new configuration return all that are set aside, and forget every refusal', async () => {
  const on = lane();
  await on.waitFor('next');
  for (const id of ['a', 'b']) await on.refuse(id);
  await on.lanes.clearFaults(connector);
  expect(await on.waiting()).toEqual(['a', 'b', 'next']);
  expect(await on.notes()).toEqual([]);
  expect(await on.ledger.read('a')).toMatchObject({ setAside: false, attributed: null, retryAt: null });
});

test('of more than a thousand refusals the rest are set aside without a note', async () => {
  const on = lane();
  const note = JSON.stringify({ at: 1, first: 1, n: 1, alike: '5 x', class: '4', reply: 'x' });
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`m:x${i}`, note]));
  await on.redis.hset(on.keys.attribution(connector), many);
  expect(await on.refuse('m')).toBe('aside');
  expect((await on.notes()).filter((field) => field.startsWith('m:'))).toHaveLength(1_000);
});
