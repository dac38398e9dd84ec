/**
 * A wrong password for an hour, with 1,000 messages waiting and three workers: a handful of logins, no dead letters, and
 * everything is delivered after the reload.
 *
 * The hour is six seconds. How often a fleet logs in follows from two things: one probe at a time, which Redis enforces, and
 * pauses that double from one minute to one hour, which Redis counts. `pauseScale` shortens every pause by the same factor,
 * so the short hour holds as many as the long one. Everything else keeps its length: a probe that takes some milliseconds
 * here, or seconds against a distant server, only adds to the pauses and lowers the number of logins. The scale does not
 * shorten the rounds of maintenance (every 300 ms here, more often in this hour than in a real one) and the checks of idle
 * workers on their lanes; both would show as additional logins if they woke a lane that pauses.
 */
import { expect, onTestFinished, test } from 'vitest';
import { createRegistry } from '../../src/transport/registry.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { account, allOnce, allSent, countableMany, settled, sink } from '../support/accounting.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { expectNoneBurned, login } from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const hourMs = 6_000;
const pauseScale = hourMs / 3_600_000;
const waiting = 1_000;

test('an hour of a wrong password costs ten logins at most over three workers, and no message', async () => {
  const prefix = testPrefix();
  const server = await sink({ auth: login });
  const settings = (password: string) =>
    smtpSettings(server.port, { auth: { user: login.user, password }, allowInsecureAuth: true });
  const configWith = (password: string) =>
    configOf({ relay: { transport: settings(password), limits: { concurrency: 5, messagesPerMinute: null } } });

  const producer = testProducer(prefix);
  const messages = countableMany(waiting);
  expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);

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
      const config = configWith(password);
      const started = await startWorker({ prefix, config, transports, name, timing: { pauseScale } });
      return { ...started, registry };
    }),
  );
  const events = () => fleet.flatMap((each) => each.events);
  const faults = () => fleet.flatMap(({ of }) => of('connector-fault'));
  // The pauses before it are 63 minutes together.
  const longestPause = () => faults().some(({ pauseMs }) => pauseMs > hourMs * 0.99);
  await until(longestPause, { what: 'the pause of an hour, which begins after the first hour' });

  const attempts = server.received.authAttempts.length;
  expect(attempts).toBeGreaterThan(2);
  expect(attempts).toBeLessThanOrEqual(10);
  expect(new Set(faults().map(({ fault }) => fault))).toEqual(new Set(['auth']));
  expect(events().filter(({ event }) => event === 'dead' || event === 'deferred')).toEqual([]);
  expect(server.received.transactions).toEqual([]);

  // The administrator corrects the password, and every worker reads its configuration again.
  password = login.password;
  await Promise.all(
    fleet.map(async ({ worker, registry }) => {
      registry.invalidate(['relay']);
      await worker.apply(configWith(password));
    }),
  );
  const rows = await settled(producer, messages);
  expect(account(rows, [server])).toEqual(allOnce(waiting));
  expectNoneBurned(rows);
  expect(events().filter(({ event }) => event === 'dead')).toEqual([]);
  expect(server.received.authAttempts.filter((attempt) => attempt.password === 'wrong').length).toBeLessThanOrEqual(10);
});

test('the probe finds a password that was corrected at the provider, without a reload', async () => {
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
  await until(() => of('connector-fault').length >= 3, { what: 'three refused logins' });
  right = true;
  const rows = await settled(producer, messages);
  expect(account(rows, [server])).toMatchObject(allSent(50));
  expectNoneBurned(rows);
});
