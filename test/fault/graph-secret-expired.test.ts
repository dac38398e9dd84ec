/**
 * An expired client secret for an hour, with 500 messages waiting and three workers: a handful of token requests, no dead
 * letter, and everything is sent after the reload with a new secret.
 *
 * The hour is six seconds; `test/fault/wrong-password.test.ts` says why the short hour holds as many pauses as the long one.
 */
import { expect, onTestFinished, test } from 'vitest';
import { createGraphTransport } from '../../src/transport/graph/graph.ts';
import { createRegistry } from '../../src/transport/registry.ts';
import { countableMany, settled } from '../support/accounting.ts';
import { settingsFor } from '../support/graph-client.ts';
import { fakeGraph } from '../support/graph-project.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { expectNoneBurned } from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const hourMs = 6_000;
const pauseScale = hourMs / 3_600_000;
const waiting = 500;

test('an hour of an expired secret costs ten token requests at most over three workers, and no message', async () => {
  const prefix = testPrefix();
  const graph = await fakeGraph({ domains: ['example.com'] });
  const expired = graph.app.clientSecret!;
  graph.app.secretExpired = true;
  let clientSecret = expired;
  const settings = () => ({ ...settingsFor(graph), credential: { kind: 'clientSecret' as const, clientSecret } });
  const configNow = () =>
    configOf({ graph: { transport: settings(), limits: { concurrency: 4, messagesPerMinute: null } } });

  const producer = testProducer(prefix);
  const messages = countableMany(waiting);
  expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);
  const fleet = await Promise.all(
    ['one', 'two', 'three'].map(async (name) => {
      const registry = createRegistry(() => createGraphTransport({ settings: settings(), maxConnections: 4 }));
      onTestFinished(() => registry.close());
      const transports = {
        get graph() {
          return registry.get('graph')!;
        },
      };
      const started = await startWorker({ prefix, config: configNow(), transports, name, timing: { pauseScale } });
      return { ...started, registry };
    }),
  );
  const events = () => fleet.flatMap((each) => each.events);
  const faults = () => fleet.flatMap(({ of }) => of('connector-fault'));
  // The pauses before it are 63 minutes together.
  const longestPause = () => faults().some(({ pauseMs }) => pauseMs > hourMs * 0.99);
  await until(longestPause, { what: 'the pause of an hour, which begins after the first hour' });

  const asked = graph.count('token');
  expect(asked).toBeGreaterThan(2);
  expect(asked).toBeLessThanOrEqual(10);
  expect(new Set(faults().map(({ fault }) => fault))).toEqual(new Set(['auth']));
  expect(faults()[0]?.reply).toContain('AADSTS7000222');
  expect(events().filter(({ event }) => event === 'dead' || event === 'deferred')).toEqual([]);
  expect(graph.count('sendMail')).toBe(0);

  // The administrator creates a new secret, and every worker reads its configuration again.
  graph.app.clientSecret = 'a-new-secret';
  graph.app.secretExpired = false;
  clientSecret = 'a-new-secret';
  await Promise.all(
    fleet.map(async ({ worker, registry }) => {
      registry.invalidate(['graph']);
      await worker.apply(configNow());
    }),
  );
  const rows = await settled(producer, messages);
  expect(rows.filter(({ state }) => state !== 'sent')).toEqual([]);
  const recipients = graph.deliveries.map(({ recipient }) => recipient);
  expect([recipients.length, new Set(recipients).size]).toEqual([waiting, waiting]);
  expectNoneBurned(rows);
  expect(events().filter(({ event }) => event === 'dead')).toEqual([]);
  // One each, with the new secret.
  expect(graph.count('token') - asked).toBeLessThanOrEqual(4);
});
