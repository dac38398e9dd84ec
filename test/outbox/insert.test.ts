/** `postlane/outbox`: a message as one INSERT, validated as `send` does it, in a real PostgreSQL. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { outboxInsert, outboxMigration, outboxNotifyMigration } from '../../src/outbox.ts';
import { PostlaneError } from '../../src/errors.ts';
import { postgresMissing } from '../../testkit/postgres.ts';
import { filePostgres, testClient, testDatabase } from '../support/postgres.ts';
import { root } from '../support/source.ts';

const message = { from: 'shop@example.com', to: 'a@example.net', subject: 'Thanks', text: 'x' } as const;

function refused(run: () => unknown): PostlaneError {
  try {
    run();
  } catch (error) {
    if (error instanceof PostlaneError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

test('gives a statement with its values, and the id that it made or was given', () => {
  const made = outboxInsert(message);
  expect(made.text).toBe('INSERT INTO postlane_outbox (id, message, given_id) VALUES ($1, $2, false)');
  expect(made.id).toMatch(/^[0-9a-f-]{36}$/);
  expect(made.values).toEqual([made.id, expect.stringContaining('"subject":"Thanks"')]);
  const given = outboxInsert({ ...message, id: 'order-7' });
  expect(given.text).toContain('VALUES ($1, $2, true)');
  expect(given.values[0]).toBe('order-7');
  expect(JSON.parse(given.values[1])).toMatchObject({ id: 'order-7', from: { address: 'shop@example.com' } });
});

test('gives `?` for Knex, and arguments for a tag of SQL templates', () => {
  const { text, template, values } = outboxInsert(message, { placeholders: '?' });
  expect(text).toBe('INSERT INTO postlane_outbox (id, message, given_id) VALUES (?, ?, false)');
  const tag = (strings: TemplateStringsArray, ...given: readonly string[]) => [strings.join('?'), strings.raw, given];
  expect(tag(...template)).toEqual([
    text,
    ['INSERT INTO postlane_outbox (id, message, given_id) VALUES (', ', ', ', false)'],
    values,
  ]);
});

test('refuses what `send` refuses, with the same error', () => {
  const error = refused(() => outboxInsert({ ...message, to: 'nobody', subject: 'a\r\nBcc: x@example.com' }));
  expect(error.code).toBe('message-invalid');
  expect(error.issues.map(({ field, rule }) => [field, rule])).toEqual([
    ['to', 'address'],
    ['subject', 'control-character'],
  ]);
  const limits = { message: { maxRecipients: 1 } };
  expect(refused(() => outboxInsert({ ...message, cc: 'b@example.net' }, limits)).issues[0]?.rule).toBe(
    'too-many-recipients',
  );
});

test('refuses what would not fit into a row, before the database sees it', () => {
  // Each character takes six bytes of JSON.
  const attachments = [{ content: '\u0001'.repeat(12 * 1024 * 1024) }];
  expect(refused(() => outboxInsert({ ...message, attachments })).issues).toMatchObject([{ rule: 'too-large' }]);
});

test('loads neither a client of Redis nor a driver of a database', async () => {
  const program = `
    import { registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
    await import('./src/outbox.ts');`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
  });
  expect(stdout).toContain('/src/message/schema.ts');
  expect(stdout).not.toMatch(/node_modules\/(?:bullmq|ioredis|pg)\//);
});

describe.skipIf(postgresMissing() !== null)('in PostgreSQL (Debian package postgresql)', () => {
  const server = filePostgres();

  test('the migration runs twice, and a row goes in with what a message may contain', async () => {
    const client = await testClient(await testDatabase(server(), outboxMigration, outboxMigration));
    await client.query(outboxNotifyMigration);
    await client.query(outboxNotifyMigration);
    const odd = {
      ...message,
      text: 'a\ud800b \u{1f600} "\\',
      attachments: [{ content: 'x\u0000y' }, { content: Buffer.alloc(70_000, 7) }],
    };
    const { id, text, values } = outboxInsert(odd);
    await client.query(text, values);
    const { rows } = await client.query('SELECT * FROM postlane_outbox');
    expect(rows).toMatchObject([{ id, message: values[1], given_id: false, form: 1, tries: 0, problem: null }]);
  });

  test('a role that may insert and nothing else can write rows', async () => {
    const url = await testDatabase(server(), outboxMigration, outboxNotifyMigration);
    const admin = await testClient(url);
    await admin.query("CREATE ROLE shop LOGIN PASSWORD 'shop'; GRANT INSERT ON postlane_outbox TO shop");
    const shop = await testClient(url.replace(/\/\/[^@]*@/, '//shop:shop@'));
    const { text, values } = outboxInsert(message);
    expect((await shop.query(text, values)).rowCount).toBe(1);
    await expect(shop.query('SELECT id FROM postlane_outbox')).rejects.toThrow('permission denied');
  });

  test('SQL alone can write a row, and the table refuses what is no message', async () => {
    const client = await testClient(await testDatabase(server(), outboxMigration));
    await client.query(
      `INSERT INTO postlane_outbox (message) VALUES (jsonb_build_object('to', 'a@example.net', 'text', 'x'))`,
    );
    const { rows } = await client.query('SELECT id FROM postlane_outbox');
    expect(rows).toMatchObject([{ id: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
    const insert = 'INSERT INTO postlane_outbox (id, message) VALUES ($1, $2)';
    await expect(client.query(insert, ['m', '{"to":'])).rejects.toThrow('invalid input syntax for type json');
    await expect(client.query(insert, ['m', '[]'])).rejects.toThrow('check constraint');
    await expect(client.query(insert, ['no id', '{}'])).rejects.toThrow('check constraint');
  });
});
