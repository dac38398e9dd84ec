/**
 * A wrong password for an hour, with 1,000 messages waiting and three workers: a handful of log-ins, no dead letters, and
 * everything is delivered after the reload.
 *
 * The hour is six seconds. How often a fleet logs in follows from two things: one probe at a time, which Redis enforces, and
 * pauses that double from one minute to one hour, which Redis counts. `pauseScale` shortens every pause by the same factor,
 * so as many fit into the short hour as into the long one. All else keeps its length: a probe that takes some milliseconds
 * here, or some seconds against a far server, only adds to the pauses, and makes it fewer log-ins and not more. What the
 * scale does not shorten are the sweep (every 300 ms here, so more often in this hour than in a real one) and the looks of
 * idle workers at their lanes; both would show as additional log-ins if they woke a lane that pauses.
 */
import { expect, onTestFinished, test } from 'vitest';
import { createRegistry } from '../../src/transport/registry.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { balance, countableMany, settled, sink } from '../support/books.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { expectNoneBurned, login } from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const hourMs = 6_000;
const pauseScale = hourMs / 3_600_000;
const waiting = 1_000;

test('an hour of a wrong password costs ten log-ins at most over three workers, and no message', async () => {
  const prefix = testPrefix();
  const server = await sink({ auth: login });
  const settings = (password: string) =>
    smtpSettings(server.port, { auth: { user: login.user, password }, allowInsecureAuth: true });
  const configWith = (password: string) =>
    configOf({ relay: { transport: settings(password), limits: { concurrency: 5, messagesPerMinute: null } } });

  const producer = testProducer(prefix);
  const messages = countableMany(waiting);
  const results = await producer.sendMany(messages);
  expect(results.filter(({ ok }) => !ok)).toEqual([]);

  let password = 'wrong';
  const fleet = await Promise.all(
    ['one', 'two', 'three'].map(async (name) => {
      const registry = createRegistry(() =>
        createSmtpTransport({ settings: settings(password), hostname: 'worker.test', maxConnections: 5 }),
      );
      onTestFinished(() => registry.close());
      const transports = {
        get relay() {
          return registry.get('relay')!;
        },
      };
      const started = await startWorker({
        prefix,
        config: configWith(password),
        transports,
        name,
        timing: { pauseScale },
      });
      return { ...started, registry };
    }),
  );
  const events = () => fleet.flatMap((each) => each.events);
  const faults = () => fleet.flatMap(({ of }) => of('connector-fault'));
  await until(() => server.received.authAttempts.length > 0, { what: 'the first log-in' });
  const end = performance.now() + hourMs;
  await until(() => performance.now() >= end, { what: 'the end of the hour' });

  const attempts = server.received.authAttempts.length;
  expect(attempts).toBeGreaterThan(2);
  expect(attempts).toBeLessThanOrEqual(10);
  expect(new Set(faults().map(({ fault }) => fault))).toEqual(new Set(['auth']));
  expect(events().filter(({ event }) => event === 'dead' || event === 'deferred')).toEqual([]);
  expect(server.received.transactions).toEqual([]);

  // The administrator mends the password, and every worker reads its configuration again.
  password = login.password;
  const mendedAt = performance.now();
  await Promise.all(
    fleet.map(async ({ worker, registry }) => {
      registry.invalidate(['relay']);
      await worker.apply(configWith(password));
    }),
  );
  const rows = await settled(
    producer,
    messages.map(({ id }) => id!),
    55_000,
  );
  expect(performance.now() - mendedAt).toBeLessThan(60_000);
  expect(balance(rows, [server])).toEqual({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: waiting },
  });
  // Nobody's attempt was counted, and nobody had to touch a message.
  expectNoneBurned(rows);
  expect(events().filter(({ event }) => event === 'dead')).toEqual([]);
  expect(server.received.authAttempts.filter((attempt) => attempt.password === 'wrong').length).toBeLessThanOrEqual(10);
}, 90_000);

test('the probe finds a password that was mended at the provider, without a reload', async () => {
  const prefix = testPrefix();
  let right = false;
  const server = await sink({ auth: login, script: { AUTH: () => (right ? undefined : '535 5.7.8 bad credentials') } });
  const settings = smtpSettings(server.port, { auth: login, allowInsecureAuth: true });
  const relay = createSmtpTransport({ settings, hostname: 'worker.test', maxConnections: 5 });
  onTestFinished(() => relay.close());
  const producer = testProducer(prefix);
  const messages = countableMany(50);
  await producer.sendMany(messages);
  const { of } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    transports: { relay },
    timing: { pauseScale: 0.001 },
  });
  await until(() => of('connector-fault').length >= 3, { what: 'three refused log-ins' });
  right = true;
  const rows = await settled(
    producer,
    messages.map(({ id }) => id!),
  );
  expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 50 } });
  expectNoneBurned(rows);
});
