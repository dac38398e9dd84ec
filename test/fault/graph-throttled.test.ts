/**
 * Graph takes four requests at once for a mailbox, and throttles at random: three workers in processes of their own keep to
 * both, and no message pays for it. GRAPH_MESSAGES=2000 makes a long run of it.
 */
import { expect, test } from 'vitest';
import { brokenRetryAfters } from '../../testkit/graph/evidence.ts';
import { faults, type Fault } from '../../testkit/graph/faults.ts';
import { settled } from '../support/books.ts';
import { project } from '../support/cli.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const count = Number(process.env.GRAPH_MESSAGES ?? 300);
const mailboxes = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}@example.com`);
const asks: readonly (() => Fault)[] = [
  () => faults.throttled(2),
  () => faults.throttledUntil(2_000),
  () => faults.throttledEmpty(2),
  () => faults.unavailable(2),
  () => faults.acceptAndSlowDown(2),
];

/**
 * What is fenced when the answer comes goes out, in any process. It takes a new connection to be late by a tenth of a second
 * on two cores that six processes share. Whoever has not heard of a pause sends all through it, as the lane is full.
 */
const graceMs = 1_000;

test(
  `${count} messages over five mailboxes and three workers: never a fifth request at once, each pause kept, each sent once`,
  async () => {
    const prefix = testPrefix();
    // What a request takes at Exchange, so that several meet.
    const graph = await fakeGraph({ mailboxes, delay: () => new Promise((resolve) => setTimeout(resolve, 20)) });
    // Reproducible, and at random enough: one in thirty.
    let dice = 44;
    graph.script('sendMail', () => {
      dice = (dice * 48_271) % 2_147_483_647;
      return dice % 30 === 0 ? asks[dice % asks.length]!() : null;
    });
    const producer = testProducer(prefix);
    const messages = Array.from({ length: count }, (_, at) => ({
      id: `m${at}`,
      from: mailboxes[at % mailboxes.length]!,
      to: `m${at}@example.net`,
      text: 'x',
    }));

    const here = project(graphConfig(graph, { prefix, mailboxes }));
    const workers = await Promise.all([here.worker(), here.worker(), here.worker()]);
    expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);
    const rows = await settled(
      producer,
      messages.map(({ id }) => id),
      count * 150,
    );

    expect(rows.filter(({ state, attempts }) => state !== 'sent' || attempts !== 1)).toEqual([]);
    const recipients = graph.deliveries.map(({ recipient }) => recipient);
    expect([recipients.length, new Set(recipients).size]).toEqual([count, count]);
    const most = mailboxes.map((address) => graph.highWater(address));
    expect(Math.max(...most)).toBeLessThanOrEqual(4);
    expect(Math.max(...most)).toBeGreaterThan(2);
    const told = graph.requests.filter(({ answer }) => answer?.headers['retry-after'] !== undefined);
    expect(told.length).toBeGreaterThan(count / 60);
    expect(brokenRetryAfters(graph.requests, graceMs)).toEqual([]);
    // All three have worked.
    expect(workers.map((worker) => worker.of('sent').length > 0)).toEqual([true, true, true]);
  },
  60_000 + count * 200,
);
