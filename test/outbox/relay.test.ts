/** A relay on a real PostgreSQL and a real Redis: what is committed is enqueued once, and a row that cannot be is in nobody's way. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { postgresMissing, postgresPassword, startPrivatePostgres } from '../../testkit/postgres.ts';
import { holds, until } from '../../testkit/until.ts';
import { outboxMigration, outboxNotifyMigration } from '../../src/outbox.ts';
import { withOutbox } from '../../src/outbox/problems.ts';
import { databaseUrl } from '../../src/config/outbox.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { countable, countableMany } from '../support/accounting.ts';
import { ownRedis } from '../support/own-redis.ts';
import { emptied, insertRow, rowsOf, testRelay } from '../support/outbox.ts';
import { testProducer } from '../support/postlane.ts';
import { filePostgres, testClient, testDatabase } from '../support/postgres.ts';
import { testPrefix } from '../support/redis.ts';

describe.skipIf(postgresMissing() !== null)('a relay (Debian package postgresql)', () => {
  const server = filePostgres();

  async function outbox(...more: readonly string[]) {
    const url = await testDatabase(server(), outboxMigration, ...more);
    return { url, client: await testClient(url), producer: testProducer(testPrefix()) };
  }

  /** As `send` of the producer, but for messages whose enqueueing fails. */
  function unless(producer: Producer, fails: (id: string) => boolean): Producer['send'] {
    const failing = testProducer(testPrefix(), { url: 'redis://127.0.0.1:1', timeoutMs: 20 });
    return (message, options) => (fails(message.id!) ? failing : producer).send(message, options);
  }

  test('enqueues what is committed under the id of its row, and removes the row', async () => {
    const { url, client, producer } = await outbox();
    const id = await insertRow(client, { from: 'x@example.com', to: 'a@example.net', text: 'x' });
    const { total } = testRelay({ url, producer });
    await emptied(client);
    expect(total()).toEqual({ relayed: 1, duplicates: 0 });
    expect(await producer.status(id)).toMatchObject({ id, state: 'queued', submittedBy: '_outbox' });
  });

  test('a rollback leaves nothing to relay', async () => {
    const { url, client, producer } = await outbox();
    const { relay, total } = testRelay({ url, producer });
    await client.query('BEGIN');
    await insertRow(client, countable('gone'));
    await client.query('ROLLBACK');
    await insertRow(client, countable('stays'));
    await emptied(client);
    await relay.stop(5_000);
    expect(total()).toEqual({ relayed: 1, duplicates: 0 });
    expect(await producer.status('gone')).toBeNull();
  });

  test('finds a row whose transaction commits after later rows are gone', async () => {
    const { url, client, producer } = await outbox();
    const late = await testClient(url);
    await late.query('BEGIN');
    await insertRow(late, countable('late'));
    const { total } = testRelay({ url, producer });
    await insertRow(client, countable('early'));
    await until(() => total().relayed === 1, { what: 'the later row' });
    await late.query('COMMIT');
    await until(() => total().relayed === 2, { what: 'the row that committed late' });
    expect(await producer.status('late')).not.toBeNull();
  });

  test('relays in the order of the rows', async () => {
    const { url, client, producer } = await outbox();
    for (const message of countableMany(30)) await insertRow(client, message);
    const order: string[] = [];
    testRelay({
      url,
      batchRows: 7,
      producer: {
        send(message, options) {
          order.push(message.id!);
          return producer.send(message, options);
        },
      },
    });
    await emptied(client);
    expect(order).toEqual(countableMany(30).map(({ id }) => id));
  });

  test('several side by side share the rows, and enqueue each once', async () => {
    const { url, client, producer } = await outbox();
    for (const message of countableMany(400)) await insertRow(client, message);
    const relays = Array.from({ length: 3 }, () => testRelay({ url, producer, batchRows: 10 }));
    await emptied(client);
    await Promise.all(relays.map(({ relay }) => relay.stop(10_000)));
    const totals = relays.map(({ total }) => total());
    expect(totals.reduce((sum, { relayed }) => sum + relayed, 0)).toBe(400);
    expect(totals.reduce((sum, { duplicates }) => sum + duplicates, 0)).toBe(0);
  });

  test('takes no more bytes at once than it may, and a larger message alone', async () => {
    const { url, client, producer } = await outbox();
    for (const i of [1, 2, 3, 4])
      await insertRow(client, { ...countable(`m${i}`), text: 'x'.repeat(i === 3 ? 200_000 : 40_000) });
    const { of } = testRelay({ url, producer, batchBytes: 100_000 });
    await emptied(client);
    expect(of('outbox-relayed').map(({ relayed }) => relayed)).toEqual([2, 1, 1]);
  });

  test('the same row twice is one message, and another content under its id is a problem', async () => {
    const { url, client, producer } = await outbox();
    const { total, of } = testRelay({ url, producer });
    for (const text of ['one', 'one', 'two']) {
      const before = total();
      await insertRow(client, { ...countable('order-7'), text });
      await until(
        () =>
          total().relayed + total().duplicates > before.relayed + before.duplicates || of('outbox-problem').length > 0,
        { what: text },
      );
    }
    expect(total()).toEqual({ relayed: 1, duplicates: 1 });
    expect(of('outbox-problem')).toMatchObject([{ id: 'order-7', problem: 'idempotency-mismatch' }]);
    expect(await rowsOf(client)).toEqual([{ id: 'order-7', problem: 'idempotency-mismatch', tries: 1 }]);
  });

  test('a row whose id is that of a message that came another way stays, with the problem', async () => {
    const { url, client, producer } = await outbox();
    await producer.send({ ...countable('order-7'), text: 'of another application' });
    const { total, of } = testRelay({ url, producer });
    await insertRow(client, { ...countable('order-7'), text: 'mine' });
    await until(() => of('outbox-problem').length > 0, { what: 'the problem' });
    expect(total()).toEqual({ relayed: 0, duplicates: 0 });
    expect(await rowsOf(client)).toEqual([{ id: 'order-7', problem: 'idempotency-mismatch', tries: 1 }]);
  });

  test('a row that cannot be enqueued is marked with the reason, and holds up nobody', async () => {
    const { url, client, producer } = await outbox();
    const write = (id: string, message: object, more = '') =>
      client.query(`INSERT INTO postlane_outbox (id, message ${more && ', created_at'}) VALUES ($1, $2 ${more})`, [
        id,
        JSON.stringify(message),
      ]);
    await write('invalid', { to: 'nobody' });
    await write('other-id', { id: 'another', to: 'a@example.net' });
    await write('large', { to: 'a@example.net', text: 'x'.repeat(40 * 2 ** 20) });
    await write('no-content', { to: 'a@example.net', attachments: [{ ref: 'a'.repeat(64), size: 100_000 }] });
    await write('old', { to: 'a@example.net' }, `, now() - interval '8 days'`);
    await write('__proto__', JSON.parse('{"to":"a@example.net","__proto__":{"x":1}}') as object);
    for (const message of countableMany(20)) await insertRow(client, message);
    const { total, of } = testRelay({ url, producer, batchRows: 5 });
    await until(() => total().relayed === 20, { what: 'the other rows' });
    expect(of('outbox-problem').map(({ id, problem }) => [id, problem])).toEqual([
      ['invalid', 'message-invalid'],
      ['other-id', 'message-invalid'],
      ['large', 'too-large'],
      ['no-content', 'attachment-missing'],
      ['old', 'stale'],
      ['__proto__', 'message-invalid'],
    ]);
    expect(await rowsOf(client)).toHaveLength(6);
  });

  test('an operator lists problems, releases a row whatever its age, and removes the others', async () => {
    const { url, client, producer } = await outbox();
    await client.query(
      `INSERT INTO postlane_outbox (id, message, created_at) VALUES ('old', '{"to":"a@example.net"}', now() - interval '8 days'), ('bad', '{"secret":"PLANTED"}', now())`,
    );
    const { of, total } = testRelay({ url, producer });
    await until(() => of('outbox-problem').length === 2, { what: 'both problems' });
    const { encrypted: _, ...database } = databaseUrl.parse(url);
    const all = { ids: null, problem: null };
    const answer = await withOutbox({ ...database, tls: null }, async (operator) => {
      const listed = await operator.list(all, 10);
      const retried = await operator.retry({ ids: ['old', 'unknown'], problem: null });
      await until(() => total().relayed === 1, { what: 'the released row' });
      return {
        listed,
        retried,
        dropped: await operator.drop({ ids: null, problem: 'message-invalid' }),
        left: await operator.counts(),
      };
    });
    expect(answer).toMatchObject({
      ok: true,
      value: {
        listed: [
          { id: 'old', problem: 'stale', tries: 1, detail: expect.stringContaining('Retry or drop it') },
          { id: 'bad', problem: 'message-invalid' },
        ],
        retried: 1,
        dropped: 1,
        left: { waiting: 0, problems: 0 },
      },
    });
    expect(JSON.stringify(answer)).not.toContain('PLANTED');
  });

  test('a message with large attachments arrives whole', async () => {
    const { url, client, producer } = await outbox();
    const content = Buffer.alloc(300_000, 'abc');
    await insertRow(client, { ...countable('big'), attachments: [{ filename: 'a.bin', content }] });
    testRelay({ url, producer });
    await emptied(client);
    expect(await producer.status('big')).toMatchObject({ state: 'queued' });
  });

  test('the trigger wakes a relay that listens, and a row of a later form waits for a later release', async () => {
    const { url, client, producer } = await outbox(outboxNotifyMigration);
    const { of, total } = testRelay({ url, producer, listen: true, pollMs: 3_600_000 });
    await until(() => of('ready').length === 1, { what: 'the relay' });
    await client.query(`INSERT INTO postlane_outbox (id, message, form) VALUES ('later', '{}', 2)`);
    await until(
      async () => {
        await insertRow(client, { to: 'a@example.net' });
        return total().relayed > 0;
      },
      { what: 'a woken relay' },
    );
    expect((await rowsOf(client)).filter(({ id }) => id === 'later')).toEqual([
      { id: 'later', problem: null, tries: 0 },
    ]);
  });

  test('says that the table is missing, and relays as soon as it is there', async () => {
    const url = await testDatabase(server());
    const client = await testClient(url);
    const { of, total } = testRelay({ url, producer: testProducer(testPrefix()) });
    await until(() => of('outbox-database-away').length > 0, { what: 'the complaint' });
    expect(of('outbox-database-away')[0]?.detail).toContain('--print-migration');
    await client.query(outboxMigration);
    await insertRow(client, { to: 'a@example.net' });
    await until(() => total().relayed === 1, { what: 'the row' });
  });

  test('a row that fails while others do not is tried later, and one that fails alone too', async () => {
    const { url, client, producer } = await outbox();
    let failing = true;
    const send = unless(producer, (id) => id === 'slow' && failing);
    for (const id of ['slow', 'm1', 'm2']) await insertRow(client, countable(id));
    const { of, total } = testRelay({ url, producer: { send } });
    await until(() => total().relayed === 2, { what: 'the others' });
    expect(of('outbox-relayed')[0]).toMatchObject({ relayed: 2, deferred: 1 });
    expect(await rowsOf(client)).toEqual([{ id: 'slow', problem: null, tries: 1 }]);
    await until(() => of('outbox-held').length > 0, { what: 'the row alone' });
    failing = false;
    await until(() => total().relayed === 3, { what: 'the slow row' });
  });

  test("rows that are too large for the room that Redis has left are in nobody's way", async () => {
    const { url, client } = await outbox();
    const redis = await ownRedis();
    await redis.admin.config('SET', 'maxmemory', '12mb');
    const producer = testProducer(testPrefix(), { url: redis.url });
    for (const i of [1, 2, 3]) await insertRow(client, { ...countable(`large${i}`), text: 'x'.repeat(10 * 2 ** 20) });
    for (const message of countableMany(5)) await insertRow(client, message);
    const { of, total } = testRelay({ url, producer, batchBytes: 2 ** 20 });
    await until(() => total().relayed === 5, { what: 'the small rows' });
    expect(of('outbox-held')).toEqual([]);
    expect((await rowsOf(client)).map(({ id, problem }) => [id, problem])).toEqual([
      ['large1', null],
      ['large2', null],
      ['large3', null],
    ]);
    await redis.admin.config('SET', 'maxmemory', '0');
    await until(() => total().relayed === 8, { what: 'the large rows, once there is room' });
    expect(total().duplicates).toBe(0);
  });

  test('a row is found that can be enqueued, however many before it cannot', async () => {
    const { url, client, producer } = await outbox();
    const ids = Array.from({ length: 12 }, (_, i) => `large${i}`);
    for (const id of [...ids, 'small']) await insertRow(client, countable(id));
    const { total } = testRelay({ url, batchRows: 2, producer: { send: unless(producer, (id) => id !== 'small') } });
    await until(() => total().relayed === 1, { what: 'the small row' });
    expect(await rowsOf(client)).toHaveLength(12);
  });

  test('an outage of Redis changes no row: afterwards all are relayed at once, in their order', async () => {
    const { url, client, producer } = await outbox();
    let away = true;
    const order: string[] = [];
    const send = unless(producer, (id) => {
      if (!away && id !== 'invalid') order.push(id);
      return away;
    });
    const messages = countableMany(12);
    await client.query(`INSERT INTO postlane_outbox (id, message) VALUES ('invalid', '{}')`);
    for (const message of messages) await insertRow(client, message);
    const { of, total } = testRelay({ url, batchRows: 5, producer: { send } });
    await until(() => of('outbox-held').length === 4, { what: 'an outage that lasts' });
    const untouched = messages.map(({ id }) => ({ id, problem: null, tries: 0 }));
    expect(await rowsOf(client)).toEqual([{ id: 'invalid', problem: 'message-invalid', tries: 1 }, ...untouched]);
    away = false;
    await until(() => total().relayed === 12, { what: 'all rows' });
    expect(order).toEqual(messages.map(({ id }) => id));
    expect(of('outbox-relayed').map(({ relayed, deferred }) => [relayed, deferred])).toEqual([
      [0, 0],
      [5, 0],
      [5, 0],
      [2, 0],
    ]);
  });

  test('a stop lets the batch under way end, and takes no further one', async () => {
    const { url, client, producer } = await outbox();
    for (const message of countableMany(4)) await insertRow(client, message);
    const gate = Promise.withResolvers<void>();
    const { relay, total } = testRelay({
      url,
      batchRows: 2,
      producer: { send: async (message, options) => (await gate.promise, producer.send(message, options)) },
    });
    await until(
      async () => (await client.query('SELECT 1 FROM postlane_outbox FOR UPDATE SKIP LOCKED')).rowCount === 2,
      { what: 'a batch' },
    );
    const stopping = relay.stop(10_000);
    await holds(() => total().relayed === 0, { what: 'the batch', forMs: 50 });
    gate.resolve();
    expect(await stopping).toBe(true);
    expect(total().relayed).toBe(2);
    expect(await rowsOf(client)).toHaveLength(2);
  });

  test('PostgreSQL crashes and comes back: every row is enqueued once', async () => {
    const own = await startPrivatePostgres();
    try {
      const url = await testDatabase(own, outboxMigration);
      const { of, total, relay } = testRelay({ url, producer: testProducer(testPrefix()) });
      await until(() => of('ready').length === 1, { what: 'the relay' });
      await own.kill();
      await until(() => of('outbox-database-away').length > 0, { what: 'the outage' });
      expect(relay.state().databaseUp).toBe(false);
      await own.restart();
      const client = await testClient(url);
      for (const message of countableMany(5)) await insertRow(client, message);
      await emptied(client);
      expect(total()).toEqual({ relayed: 5, duplicates: 0 });
      expect(of('outbox-database-back')).toHaveLength(1);
      await relay.stop(5_000);
      await client.end();
    } finally {
      await own.stop();
    }
  });

  test('what environment variables of PostgreSQL say is not for this connection', async () => {
    const { encrypted: _, ...database } = databaseUrl.parse(await testDatabase(server(), outboxMigration));
    const counts = (password: string | null) =>
      withOutbox({ ...database, password, tls: null }, (operator) => operator.counts());
    onTestFinished(() => void vi.unstubAllEnvs());
    vi.stubEnv('PGPASSWORD', postgresPassword);
    expect(await counts(null)).toMatchObject({ ok: false, detail: expect.stringContaining('password') });
    vi.stubEnv('PGOPTIONS', '-c search_path=elsewhere');
    vi.stubEnv('PGCLIENT_ENCODING', 'LATIN9');
    vi.stubEnv('PGSSLNEGOTIATION', 'direct');
    vi.stubEnv('PGREPLICATION', 'true');
    expect(await counts(postgresPassword)).toMatchObject({ ok: true });
  });

  test('with TLS, the certificate is verified by its CA and its name', async () => {
    const { ca, server: pair } = await createCertificates();
    const own = await startPrivatePostgres({ tls: pair });
    try {
      const url = await testDatabase(own, outboxMigration);
      const none = { ca: null, cert: null, key: null, servername: null };
      const answers: unknown[] = [];
      for (const tls of [{ ...none, ca }, none, { ...none, ca, servername: 'other.example.com' }]) {
        const { encrypted: _, ...database } = databaseUrl.parse(url);
        answers.push(await withOutbox({ ...database, tls }, (operator) => operator.counts()));
      }
      expect(answers).toMatchObject([
        { ok: true },
        { ok: false, detail: expect.stringMatching(/certificate/) },
        { ok: false, detail: expect.stringContaining('other.example.com') },
      ]);
    } finally {
      await own.stop();
    }
  });
});
