/**
 * The outbox between an application and the mail: the application, the relay and the database die between each two steps. An order that
 * is not committed has no mail, and one that is has exactly one.
 */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startJsonProcess } from '../../testkit/json-process.ts';
import { postgresMissing, startPrivatePostgres } from '../../testkit/postgres.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import { outboxMigration } from '../../src/outbox.ts';
import { copiesOf, settled, sink } from '../support/accounting.ts';
import { project, type WorkerProcess } from '../support/cli.ts';
import { emptied, insertRow, rowsOf, testRelay } from '../support/outbox.ts';
import { testProducer } from '../support/postlane.ts';
import { filePostgres, testClient, testDatabase } from '../support/postgres.ts';
import { redisUrl, shardCount, testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const orders = 'CREATE TABLE orders (id text PRIMARY KEY)';
/** OUTBOX_ORDERS=100000 for the long run, which takes minutes. */
const load = Number(process.env['OUTBOX_ORDERS'] ?? 1_000);

const config = (prefix: string, port: number): string => `
redis: { prefix: "${prefix}", shards: ${shardCount()} }
hostname: mail.example.com
systemDefaultGateway: relay
metrics: { listen: none }
outbox: { poll: 50ms }
connectors:
  relay: { direction: outgoing, onUncertain: hold, limits: { concurrency: 10 }, smtp: { host: 127.0.0.1, port: ${port}, security: none } }
`;

/** An application, as a process of its own. */
function shop(url: string, rolledBack = 0) {
  const running = startJsonProcess([join(root, 'testkit/shop-main.ts'), url, String(rolledBack)]);
  onTestFinished(async () => {
    await running.kill();
  });
  return running;
}

async function committed(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>('SELECT id FROM orders ORDER BY id');
  return rows.map(({ id }) => id);
}

const through = (url: string, { port }: { port: number }): string => {
  const proxied = new URL(url);
  proxied.port = String(port);
  return proxied.href;
};

describe.skipIf(postgresMissing() !== null)('with PostgreSQL (Debian package postgresql)', () => {
  const server = filePostgres();

  /** One database, one worker and one server of mail for all places of a test. */
  async function scene() {
    const [prefix, mails] = [testPrefix(), await sink()];
    const url = await testDatabase(server(), outboxMigration, orders);
    const here = project(config(prefix, mails.port));
    await startWorkerProcess({ prefix, connectors: { relay: { port: mails.port } } });
    const client = await testClient(url);
    const producer = testProducer(prefix);

    /** How many copies of each order there are, once all that is committed is relayed and sent. */
    const copiesOfAll = async (ids: readonly string[]): Promise<Record<string, number>> => {
      const { relay } = testRelay({ url, producer });
      await emptied(client);
      await relay.stop(10_000);
      const wanted = await committed(client);
      await settled(producer, wanted);
      return Object.fromEntries(ids.map((id) => [id, copiesOf(id, [mails])]));
    };
    return { url, here, client, copiesOfAll };
  }

  const sides = ['before', 'after'] as const;

  /** A piece of each step of the application that stands in no other. */
  const steps = {
    'the beginning of the transaction': 'BEGIN\0',
    'the order': 'INSERT INTO orders',
    'the row of the outbox': 'INSERT INTO postlane_outbox',
    'the commit': 'COMMIT\0',
  } as const;

  test('an application that is killed before or after any of its steps: no mail without the commit, one with it', async () => {
    const { url, client, copiesOfAll } = await scene();
    const expected: Record<string, number> = {};
    for (const [step, text] of Object.entries(steps)) {
      for (const where of sides) {
        const [first, second] = [0, 1].map((i) => `o${Object.keys(expected).length + i}`) as [string, string];
        const proxy = await startStepProxy(server().port, text, where);
        onTestFinished(() => proxy.stop());
        const application = shop(through(url, proxy));
        await application.waitFor('ready');
        application.tell(first);
        await application.waitFor('committed');
        proxy.arm();
        application.tell(second);
        await until(proxy.reached, { what: `${step}, ${where}` });
        const isCommitted = text === steps['the commit'] && where === 'after';
        if (isCommitted) await until(async () => (await committed(client)).includes(second), { what: 'the commit' });
        await application.kill();
        await proxy.stop();
        Object.assign(expected, { [first]: 1, [second]: isCommitted ? 1 : 0 });
      }
    }
    expect(await copiesOfAll(Object.keys(expected))).toEqual(expected);
    expect(Object.values(expected).filter((copies) => copies === 0)).toHaveLength(7);
  });

  /** The same of the relay. Those of Redis are in the middle. */
  const relaySteps = {
    'the beginning of a batch': ['database', 'BEGIN ISOLATION'],
    'the locks': ['database', 'SKIP LOCKED'],
    'the reading of the messages': ['database', 'SELECT seq::text, message'],
    'the key of the id': ['redis', ':idempotency:'],
    'the message in Redis': ['redis', '@example.net'],
    'the removal of the rows': ['database', 'DELETE FROM postlane_outbox'],
    'the end of the batch': ['database', 'COMMIT\0'],
  } as const;

  test('a relay that is killed before or after any of its steps: every order has one mail', async () => {
    const { url, here, client, copiesOfAll } = await scene();
    const expected: Record<string, number> = {};
    for (const [step, [side, text]] of Object.entries(relaySteps)) {
      for (const where of sides) {
        const place = `${step}, ${where}`;
        const ids = [0, 1, 2].map((i) => `o${Object.keys(expected).length + i}`);
        for (const id of ids) {
          await client.query('BEGIN');
          await client.query('INSERT INTO orders (id) VALUES ($1)', [id]);
          await insertRow(client, { id, from: 'shop@example.com', to: `${id}@example.net`, text: id });
          await client.query('COMMIT');
        }
        const target = side === 'database' ? server().port : Number(new URL(redisUrl()).port);
        const proxy = await startStepProxy(target, text, where);
        onTestFinished(() => proxy.stop());
        proxy.arm();
        const env =
          side === 'database'
            ? { POSTLANE_DATABASE_URL: through(url, proxy) }
            : { POSTLANE_DATABASE_URL: url, REDIS_URL: through(redisUrl(), proxy) };
        const relay = await here.outbox({ env });
        await until(proxy.reached, { what: place });
        relay.child.kill('SIGKILL');
        await relay.ended();
        await proxy.stop();
        for (const id of ids) expected[id] = 1;
        const copies = await copiesOfAll(ids);
        expect({ place, copies: Object.values(copies) }).toEqual({ place, copies: [1, 1, 1] });
      }
    }
    expect(await copiesOfAll(Object.keys(expected))).toEqual(expected);
  });

  test(
    'applications under load, relays that are killed at random, a crash of the database, poison rows: each committed order has one mail',
    async () => {
      const own = await startPrivatePostgres();
      onTestFinished(() => own.stop());
      const [prefix, mails] = [testPrefix(), await sink()];
      const url = await testDatabase(own, outboxMigration, orders);
      const here = project(config(prefix, mails.port));
      const env = { POSTLANE_DATABASE_URL: url };
      const patienceMs = 120_000 + load * 20;
      await startWorkerProcess({ prefix, connectors: { relay: { port: mails.port, concurrency: 10 } } });
      const relays = await Promise.all([here.outbox({ env }), here.outbox({ env })]);
      const poison = 10;
      const admin = await testClient(url);
      await admin.query(
        `INSERT INTO postlane_outbox (id, message) SELECT 'poison-' || n, '{"to":"nobody"}' FROM generate_series(1, $1) AS n`,
        [poison],
      );
      // Ids count up; a new application goes on where the last one was when it died.
      const taken = { count: 0 };
      const isLeft = (): boolean => taken.count < load;
      /** Of one application: what it has not begun when it is killed is lost to the test. */
      const atOnce = Math.max(100, load / 100);
      const runShop = async (): Promise<void> => {
        while (isLeft()) {
          const application = shop(url, 2);
          // While the database is away, it ends at once.
          const serves = application.waitFor('ready').then(
            () => true,
            () => false,
          );
          if (!(await serves)) continue;
          const some = Array.from({ length: Math.min(atOnce, load - taken.count) }, () => `o${taken.count++}`);
          for (const id of some) application.tell(id);
          application.child.stdin?.end();
          if (randomInt(5) === 0) {
            await pause(randomInt(400));
            application.child.kill('SIGKILL');
          }
          await application.exited;
        }
      };
      const shops = Promise.all([runShop(), runShop()]);
      let kills = 0;
      const killing = (async () => {
        while (isLeft() || kills < 4) {
          await pause(200 + randomInt(400));
          const at = randomInt(2);
          const relay: WorkerProcess = relays[at]!;
          relay.child.kill('SIGKILL');
          await relay.ended();
          kills += 1;
          if (kills === 2) {
            await own.kill();
            await own.restart();
          }
          relays[at] = await here.outbox({ env });
        }
      })();
      await Promise.all([shops, killing]);
      const client = await testClient(url);
      const left = async () => (await rowsOf(client)).filter(({ problem }) => problem === null).length;
      await until(async () => (await left()) === 0, { what: 'the end of the outbox', timeoutMs: patienceMs });
      for (const relay of relays) expect(await relay.end()).toBe(0);
      const ids = await committed(client);
      expect(ids.length).toBeGreaterThan(load * 0.2);
      expect(ids.length).toBeLessThan(load);
      const received = (): string[] => mails.received.transactions.flatMap(({ to, accepted }) => (accepted ? to : []));
      await until(() => new Set(received()).size >= ids.length, {
        what: 'every order at the server',
        timeoutMs: patienceMs,
      });
      expect(received().toSorted()).toEqual(ids.map((id) => `${id}@example.net`).toSorted());
      const { values } = await here.json(['outbox', 'list'], { env });
      expect(values).toHaveLength(poison);
      expect(new Set(values.map(({ problem }) => problem))).toEqual(new Set(['message-invalid']));
    },
    400_000 + load * 40,
  );
});
