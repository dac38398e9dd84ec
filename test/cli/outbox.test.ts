/** `postlane outbox` as operators run it: the migration, a process that relays, its log, health and metrics, and its rows with problems. */
import { describe, expect, test } from 'vitest';
import { postgresMissing, postgresPassword } from '../../testkit/postgres.ts';
import { until } from '../../testkit/until.ts';
import { outboxMigration, outboxNotifyMigration } from '../../src/outbox.ts';
import { project } from '../support/cli.ts';
import { emptied, insertRow, rowsOf } from '../support/outbox.ts';
import { testProducer } from '../support/postlane.ts';
import { filePostgres, testClient, testDatabase } from '../support/postgres.ts';
import { shardCount, testPrefix } from '../support/redis.ts';

const config = (prefix: string, more = ''): string => `
redis: { prefix: "${prefix}", shards: ${shardCount()} }
hostname: mail.example.com
systemDefaultGateway: relay
metrics: { listen: "127.0.0.1:0" }
connectors:
  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 25, security: none } }
${more}`;

test('prints the migration without a configuration, and the trigger on request', async () => {
  const here = project('');
  expect((await here.call(['outbox', '--print-migration'])).stdout).toBe(outboxMigration);
  const { values } = await here.callJson(['outbox', '--print-migration', '--notify']);
  expect(values).toEqual([{ migration: `${outboxMigration}\n${outboxNotifyMigration}` }]);
  expect((await here.call(['outbox', '--notify'])).code).toBe(2);
});

test('without a database it says which setting is missing', async () => {
  const ended = await project(config(testPrefix())).call(['outbox', 'list']);
  expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining('POSTLANE_DATABASE_URL') });
});

/** Node finds every package but this one. */
const withoutPg = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier !== 'pg') return next(specifier, context);
      throw Object.assign(new Error('Cannot find package pg'), { code: 'ERR_MODULE_NOT_FOUND' });
    },
  });
`)}`;

test('without the package pg, both the relay and the other commands say what to install', async () => {
  const here = project(config(testPrefix()));
  const env = { NODE_OPTIONS: `--import=${withoutPg}`, POSTLANE_DATABASE_URL: 'postgres://u:p@127.0.0.1:1/d' };
  expect(await here.run(['outbox', 'list'], { env })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('npm install pg'),
  });
  const relay = await here.outbox({ env, wait: false });
  expect(await relay.ended()).toBe(1);
  expect(relay.of('start-failed')).toMatchObject([{ detail: expect.stringContaining('npm install pg') }]);
});

describe.skipIf(postgresMissing() !== null)('with PostgreSQL (Debian package postgresql)', () => {
  const server = filePostgres();

  async function outbox() {
    const prefix = testPrefix();
    const url = await testDatabase(server(), outboxMigration);
    return { url, client: await testClient(url), here: project(config(prefix)), producer: testProducer(prefix) };
  }

  test('relays until SIGTERM, answers health checks and metrics, and logs no secret', async () => {
    const { url, client, here, producer } = await outbox();
    const relay = await here.outbox({ env: { POSTLANE_DATABASE_URL: url } });
    const id = await insertRow(client, { to: 'a@example.net', subject: 'PLANTED', text: 'PLANTED' });
    await client.query(`INSERT INTO postlane_outbox (id, message) VALUES ('bad', '{"to":"PLANTED"}')`);
    await relay.logged('outbox-problem');
    await until(async () => (await producer.status(id)) !== null, { what: 'the message' });
    const { port } = await relay.logged('metrics-listening');
    const get = async (path: string): Promise<string> =>
      (await fetch(`http://127.0.0.1:${String(port)}${path}`)).text();
    await until(async () => (await get('/readyz')).includes('"ready"'), { what: 'a ready relay' });
    const metrics = await until(
      async () => /postlane_outbox_rows_total\{outcome="relayed"\} 1\n[\s\S]*/.exec(await get('/metrics'))?.[0],
      { what: 'the counter' },
    );
    expect(metrics).toContain('postlane_outbox_rows_total{outcome="message-invalid"} 1');
    expect(metrics).toContain('postlane_outbox_database_up 1');
    expect(await relay.end()).toBe(0);
    expect(relay.lines().at(-1)).toMatchObject({ event: 'stopped', drained: true });
    expect(relay.of('ready')).toHaveLength(1);
    for (const secret of [postgresPassword, encodeURIComponent(postgresPassword), 'PLANTED']) {
      expect(relay.output()).not.toContain(secret);
    }
  });

  test('lists, releases and removes rows with a problem', async () => {
    const { url, client, here } = await outbox();
    await client.query(`INSERT INTO postlane_outbox (id, message, problem, detail) VALUES
      ('m1', '{"to":"a@example.net"}', 'stale', 'too old'), ('m2', '{}', 'message-invalid', E'to: \\u001b[2J missing'), ('m3', '{}', null, null)`);
    const env = { POSTLANE_DATABASE_URL: url };
    const { values } = await here.callJson(['outbox', 'list'], { env });
    expect(values).toMatchObject([
      { id: 'm1', problem: 'stale', detail: 'too old', bytes: 22, tries: 0, at: expect.stringMatching(/^\d{4}-/) },
      { id: 'm2', problem: 'message-invalid' },
    ]);
    const shown = await here.call(['outbox', 'list', '--problem', 'message-invalid'], { env });
    expect(shown.stdout).toMatch(/^ID {2}PROBLEM/);
    expect(shown.stdout).not.toContain('m1');
    expect(shown.stdout).not.toContain('\u001b');
    expect(shown.stderr).toContain('1 wait to be relayed');
    expect((await here.callJson(['outbox', 'retry', 'm1'], { env })).values).toEqual([{ retried: 1 }]);
    expect((await here.callJson(['outbox', 'drop', '--all'], { env })).values).toEqual([{ dropped: 1 }]);
    expect(await rowsOf(client)).toMatchObject([
      { id: 'm1', problem: null },
      { id: 'm3', problem: null },
    ]);
    expect(await here.call(['outbox', 'drop', 'm3'], { env })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"m3"'),
    });
    expect((await here.call(['outbox', 'drop'], { env })).code).toBe(2);
  });

  test('a database that refuses is an error without the password', async () => {
    const { url, here } = await outbox();
    const env = { POSTLANE_DATABASE_URL: url.replace(encodeURIComponent(postgresPassword), 'wr0ng-s3cret') };
    const ended = await here.call(['outbox', 'list', '--json'], { env });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain('password authentication failed');
    expect(ended.stderr).not.toContain('wr0ng-s3cret');
  });

  test('takes its database from the file, and its batch from a changed one', async () => {
    const { url, client, here, producer } = await outbox();
    const written = url.replace(encodeURIComponent(postgresPassword), '${DB_PASSWORD}');
    const prefix = testPrefix();
    here.write('postlane.yaml', config(prefix, `outbox: { url: "${written}", poll: 100ms }`));
    const relay = await here.outbox({ env: { DB_PASSWORD: postgresPassword } });
    const changed = `outbox: { url: "${written}", poll: 50ms, batch: 1, listen: true }`;
    const sealed = `encryption: { active: k1, keys: { k1: "${'ab'.repeat(32)}" } }`;
    here.write('postlane.yaml', config(prefix, `${changed}\n${sealed}`));
    await relay.logged('config-applied');
    expect(relay.of('restart-needed')).toMatchObject([{ keys: ['encryption', 'outbox.listen'] }]);
    for (const id of ['a', 'b']) await insertRow(client, { id, to: 'a@example.net' });
    await emptied(client);
    expect(await relay.end()).toBe(0);
    expect(relay.of('outbox-relayed').map(({ relayed }) => relayed)).toEqual([1, 1]);
    expect(await producer.status('a')).toBeNull();
  });
});
