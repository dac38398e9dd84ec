/**
 * Graph takes four requests at once for a mailbox, and throttles at random: three worker processes respect both, and it
 * costs no message. GRAPH_MESSAGES sets the number of messages; 2000 is a long run.
 */
import { expect, test } from 'vitest';
import { retryAfterMs } from '../../testkit/graph/evidence.ts';
import { faults, type Fault } from '../../testkit/graph/faults.ts';
import type { FakeRequest } from '../../testkit/graph/requests.ts';
import { settled } from '../support/accounting.ts';
import { project } from '../support/cli.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { watchPauses, type PauseWatch } from '../support/pause-watch.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const count = Number(process.env.GRAPH_MESSAGES ?? 300);
const mailboxes = ['a', 'b', 'c', 'd', 'e'].map((name) => `${name}@example.com`);
/** https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits */
const atOnce = 4;
const throttles: readonly (() => Fault)[] = [
  () => faults.throttled(2),
  () => faults.throttledUntil(2_000),
  () => faults.throttledEmpty(2),
  () => faults.unavailable(2),
  () => faults.acceptAndSlowDown(2),
];

/** A Retry-After that names a time has whole seconds. */
const dateRoundingMs = 1_000;

const laneOf = (mailbox: string): string => `lane-${mailbox.split('@')[0]}`;

/** Answers that asked to wait, and whose lane did not pause until then. */
function unheeded(requests: readonly FakeRequest[], pauses: PauseWatch['pauses']): string[] {
  return requests.flatMap((request) => {
    const waitMs = retryAfterMs(request);
    const { answer, mailbox, serial } = request;
    if (answer === null || waitMs === null) return [];
    const toldUntil = answer.at + waitMs - dateRoundingMs;
    const paused = pauses.some(({ lane, until }) => lane === laneOf(mailbox ?? '') && until >= toldUntil);
    return paused ? [] : [`no pause followed the answer to request ${serial}`];
  });
}

test(`${count} messages over five mailboxes and three workers: never a fifth request at once, none begun within a pause that a server asked for, each message sent once`, async () => {
  const prefix = testPrefix();
  // As long as a request takes at Exchange, so that several meet.
  const graph = await fakeGraph({ mailboxes, delay: () => new Promise((resolve) => setTimeout(resolve, 20)) });
  // Reproducible, and random enough: one in thirty.
  let random = 44;
  graph.script('sendMail', () => {
    random = (random * 48_271) % 2_147_483_647;
    return random % 30 === 0 ? throttles[random % throttles.length]!() : null;
  });
  const producer = testProducer(prefix);
  const watch = await watchPauses(prefix);
  const messages = Array.from({ length: count }, (_, at) => ({
    id: `m${at}`,
    from: mailboxes[at % mailboxes.length]!,
    to: `m${at}@example.net`,
    text: 'x',
  }));

  const here = project(graphConfig(graph, { prefix, mailboxes }));
  const workers = await Promise.all([here.worker(), here.worker(), here.worker()]);
  expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);
  const rows = await settled(producer, messages, 90_000 + count * 150);

  expect(rows.filter(({ state, attempts }) => state !== 'sent' || attempts !== 1)).toEqual([]);
  const recipients = graph.deliveries.map(({ recipient }) => recipient);
  expect([recipients.length, new Set(recipients).size]).toEqual([count, count]);
  const most = mailboxes.map((address) => graph.highWater(address));
  expect(Math.max(...most)).toBeLessThanOrEqual(atOnce);
  expect(Math.max(...most)).toBeGreaterThan(2);
  const told = graph.requests.filter(({ answer }) => answer?.headers['retry-after'] !== undefined);
  expect(told.length).toBeGreaterThan(count / 60);
  expect(unheeded(graph.requests, watch.pauses)).toEqual([]);
  // Not one request: what arrives within a pause was begun before the pause was in Redis.
  const mailboxOf = (id: string): string => mailboxes[Number(id.slice(1)) % mailboxes.length]!;
  expect(watch.begunWithin((id) => laneOf(mailboxOf(id)))).toEqual([]);
  expect(workers.map((worker) => worker.of('sent').length > 0)).toEqual([true, true, true]);
});
