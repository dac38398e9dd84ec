/** The straight way through: a message whose lane has none waiting is sent from what is in memory, and takes nothing from any other. */
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { until } from '../../testkit/until.ts';
import { copiesOf, settled } from '../support/accounting.ts';
import type { configOf } from '../support/postlane.ts';
import { shardCount } from '../support/redis.ts';
import { messageFor, startStraight } from '../support/straight.ts';

type Connector = Parameters<typeof configOf>[0][string];

const unlimited = { concurrency: 5, messagesPerMinute: null };
// Over several shards a message is copied into its lane, by another step.
describe.skipIf(shardCount() > 1)('a message', () => {
  test('goes straight through where a session is open and none waits; the first one of a connector waits in its lane', async () => {
    const { worker, producer, servers, straight, lane, warm } = await startStraight({ x: {} });
    await warm('x');
    expect([straight, lane]).toEqual([[], ['warm-x']]);
    await producer.send(messageFor('x', 'm'));
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', attempts: 1, connector: 'x' });
    expect(row!.history.map(({ event }) => event)).toEqual(['routed', 'sent']);
    expect([straight, copiesOf('m', [servers['x']!])]).toEqual([['m'], 1]);
    expect(servers['x']!.received.connections).toBe(1);
    const names = worker.events.filter((event) => 'id' in event && event.id === 'm').map(({ event }) => event);
    expect(names.slice(0, 2)).toEqual(['routed', 'attempt']);
  });

  test.each<[string, Connector['limits'] & object, Partial<OutboundMessage>]>([
    ['of a paced lane', { concurrency: 5, messagesPerMinute: 60_000 }, {}],
    ['of a connector with a quota of recipients', { ...unlimited, recipientsPerDay: 1_000 }, {}],
    ['of a connector with a quota of bytes', { ...unlimited, bytesPerWindow: { bytes: 1e6, windowMs: 60_000 } }, {}],
    ['that is finished', unlimited, { text: undefined, raw: 'From: a@x.example\r\nTo: m@example.net\r\n\r\nm\r\n' }],
    ['with a content that is stored', unlimited, { attachments: [{ filename: 'a.txt', content: 'x'.repeat(70_000) }] }],
    ['that had to wait for its time', unlimited, { sendAt: new Date(Date.now() + 300) }],
  ] as never)('%s is sent from its lane', async (_title, limits, change) => {
    const { producer, straight, lane, warm } = await startStraight({ x: { limits } });
    await warm('x');
    await producer.send(messageFor('x', 'm', change));
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', attempts: 1 });
    expect([straight, lane]).toEqual([[], ['warm-x', 'm']]);
  });

  test('that a server defers is tried again from its lane, with its data as it was', async () => {
    const server = {
      script: {
        RCPT: ({ to, line }: { to: readonly string[]; line: string }) =>
          line.includes('m@') && to.length === 0 && first() ? '450 4.2.0 later' : undefined,
      },
    };
    let asked = 0;
    const first = (): boolean => (asked += 1) === 1;
    const { producer, servers, straight, lane, warm } = await startStraight({ x: { server } });
    await warm('x');
    await producer.send(messageFor('x', 'm'));
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', attempts: 2 });
    expect([straight, lane]).toEqual([['m'], ['warm-x', 'm']]);
    expect(copiesOf('m', [servers['x']!])).toBe(1);
  });

  test('that comes twice under one id is sent once', async () => {
    const { producer, servers, worker, warm } = await startStraight({ x: {} });
    await warm('x');
    await producer.send(messageFor('x', 'm'));
    await settled(producer, ['m']);
    await producer.send(messageFor('x', 'm'));
    await producer.send(messageFor('x', 'last'));
    await settled(producer, ['last']);
    expect(copiesOf('m', [servers['x']!])).toBe(1);
    expect(worker.of('uncertain')).toEqual([]);
  });

  test('keeps the limit of its connector', async () => {
    const limits = { concurrency: 2, messagesPerMinute: null };
    const server = { script: { '.': () => pause(5).then(() => undefined) } };
    const { producer, servers, straight, warm } = await startStraight({ x: { limits, server } });
    await warm('x');
    const ids = Array.from({ length: 60 }, (_, i) => `m${i}`);
    // The first of each round has none before it; how many of the others find one waiting depends on how busy the machine is.
    for (let at = 0; at < ids.length; at += 4) {
      const round = ids.slice(at, at + 4);
      await producer.send(messageFor('x', round[0]!));
      await until(() => straight.includes(round[0]!), { what: 'the first one, straight through' });
      for (const id of round.slice(1)) await producer.send(messageFor('x', id));
      await settled(producer, round);
    }
    expect(servers['x']!.received.highWater).toBeLessThanOrEqual(2);
    expect(ids.every((id) => copiesOf(id, [servers['x']!]) === 1)).toBe(true);
  });

  test('that is on its way when the worker stops is waited for, and sent once', async () => {
    const gate = Promise.withResolvers<undefined>();
    const server = {
      script: { '.': ({ to }: { to: readonly string[] }) => (to[0]?.startsWith('m@') ? gate.promise : undefined) },
    };
    const { worker, producer, servers, straight, warm } = await startStraight({ x: { server } });
    await warm('x');
    await producer.send(messageFor('x', 'm'));
    await until(() => straight.length === 1, { what: 'the send' });
    const stopped = worker.worker.stop();
    gate.resolve(undefined);
    expect(await stopped).toBe(true);
    expect(await producer.status('m')).toMatchObject({ state: 'sent' });
    expect(copiesOf('m', [servers['x']!])).toBe(1);
  });
});

test(
  'a newsletter in the intake takes neither slots nor time from a password reset of its own lane or of another',
  { timeout: 60_000 },
  async () => {
    let [now, most] = [0, 0];
    const slow = {
      script: {
        '.': async () => {
          most = Math.max(most, (now += 1));
          await pause(100);
          now -= 1;
          return undefined;
        },
      },
    };
    const limits = { concurrency: 10, messagesPerMinute: null };
    const { producer, worker, warm } = await startStraight(
      { news: { limits, server: slow }, other: { limits } },
      { rest: { worker: { slots: 12, drainMs: 5_000 } } },
    );
    await warm('news');
    await warm('other');
    const newsletter = Array.from({ length: 400 }, (_, i) => messageFor('news', `n${i}`, { priority: 'low' }));
    await producer.sendMany(newsletter);
    await until(() => now > 3, { what: 'the newsletter' });
    const latencies: number[] = [];
    for (let i = 0; i < 10; i += 1) {
      for (const [connector, id] of [
        ['news', `own${i}`],
        ['other', `other${i}`],
      ] as const) {
        const at = performance.now();
        await producer.send(messageFor(connector, id, { priority: 'high' }));
        await until(() => worker.of('sent').some((event) => event.id === id), { what: id });
        latencies.push(performance.now() - at);
      }
    }
    // Its own lane: what is under way takes 100 ms, and so does the reset.
    expect(Math.max(...latencies)).toBeLessThan(1_500);
    expect(worker.of('sent').length).toBeLessThan(400);
    // Of 12 slots a lane has nine at most.
    expect(most).toBeLessThanOrEqual(9);
  },
);
