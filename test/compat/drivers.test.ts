/** `outboxInsert` in a transaction of the drivers and mappers that docs/outbox.md names, each as its example there writes it. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { postgresMissing } from '../../testkit/postgres.ts';
import { outboxInsert, outboxMigration, type OutboxInsert } from '../../src/outbox.ts';
import { rowsOf } from '../support/outbox.ts';
import { filePostgres, testClient, testDatabase } from '../support/postgres.ts';
import { root, textOf } from '../support/source.ts';

const folder = join(root, 'test/compat/drivers');
const installed = existsSync(join(folder, 'node_modules/knex'));
const require = createRequire(join(folder, 'package.json'));

/** What the tests call of a foreign package, whose types belong to its own folder. */
type Loose = (...given: readonly unknown[]) => Promise<Row> & Row;
interface Row {
  readonly [name: string]: Loose;
}
const load = (name: string): Row & Loose => require(name) as Row & Loose;
const made = (constructor: unknown, ...given: readonly unknown[]): Row =>
  Reflect.construct(constructor as new () => Row, given) as Row;

/** Runs `work` in a transaction, and rolls it back where it throws. */
interface Driver {
  readonly transaction: (work: (insert: (mail: OutboxInsert) => Promise<unknown>) => Promise<void>) => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

type Open = (url: string) => Driver | Promise<Driver>;

const drivers: Readonly<Record<string, Open>> = {
  'postgres.js': (url) => {
    const sql = load('postgres')(url);
    const begin = sql['begin']!;
    return {
      transaction: (work) => begin((tx: Loose) => work((mail) => tx(...mail.template))),
      close: () => sql['end']!(),
    };
  },
  Knex: (url) => {
    const knex = load('knex')({ client: 'pg', connection: url });
    return {
      transaction: (work) => knex['transaction']!((trx: Row) => work((mail) => trx['raw']!(mail.text, mail.values))),
      close: () => knex['destroy']!(),
    };
  },
  Kysely: (url) => {
    const { Kysely, PostgresDialect, sql } = load('kysely');
    const pool = made(load('pg')['Pool'], { connectionString: url });
    const db = made(Kysely, { dialect: made(PostgresDialect, { pool }) });
    return {
      transaction: (work) =>
        db['transaction']!()['execute']!((trx: Row) => work((mail) => sql!(...mail.template)['execute']!(trx))),
      close: () => db['destroy']!(),
    };
  },
  Drizzle: (url) => {
    const { drizzle } = load('drizzle-orm/node-postgres');
    const { sql } = load('drizzle-orm');
    const pool = made(load('pg')['Pool'], { connectionString: url });
    const db = drizzle!(pool);
    return {
      transaction: (work) => db['transaction']!((tx: Row) => work((mail) => tx['execute']!(sql!(...mail.template)))),
      close: () => pool['end']!(),
    };
  },
  TypeORM: async (url) => {
    const source = made(load('typeorm')['DataSource'], { type: 'postgres', url });
    await source['initialize']!();
    return {
      transaction: (work) =>
        source['transaction']!((manager: Row) => work((mail) => manager['query']!(mail.text, mail.values))),
      close: () => source['destroy']!(),
    };
  },
  Sequelize: (url) => {
    const sequelize = made(load('sequelize')['Sequelize'], url, { logging: false });
    return {
      transaction: (work) =>
        sequelize['transaction']!((transaction: Row) =>
          work((mail) => sequelize['query']!(mail.text, { bind: mail.values, transaction })),
        ),
      close: () => sequelize['close']!(),
    };
  },
};

const missing = installed ? postgresMissing() : 'the packages are not installed (npm run compat)';

describe.skipIf(missing !== null)('a row of the outbox', () => {
  const server = filePostgres();

  test.each(Object.keys(drivers))('%s: a commit keeps it, and a rollback does not', async (name) => {
    const url = await testDatabase(server(), outboxMigration);
    const driver = await drivers[name]!(url);
    onTestFinished(async () => {
      await driver.close();
    });
    const options = name === 'Knex' ? ({ placeholders: '?' } as const) : {};
    // Question marks, dollars and colons mean something to some of them.
    const message = { to: 'a@example.net', subject: '? $1 :name', text: 'é "\\ ?' };
    const kept = outboxInsert({ id: 'kept', ...message }, options);
    await driver.transaction(async (insert) => {
      await insert(kept);
    });
    const stop = new Error('stop');
    const rolledBack = driver.transaction(async (insert) => {
      await insert(outboxInsert({ id: 'gone', ...message }, options));
      throw stop;
    });
    await expect(rolledBack).rejects.toThrow('stop');
    const client = await testClient(url);
    expect(await rowsOf(client)).toEqual([{ id: 'kept', problem: null, tries: 0 }]);
    const { rows } = await client.query('SELECT message, given_id FROM postlane_outbox');
    expect(rows).toEqual([{ message: kept.values[1], given_id: true }]);
  });
});

test('docs/outbox.md has an example for each of them', () => {
  const named = [...textOf('docs/outbox.md').matchAll(/^\| ([\w.]+) \| `await /gm)].map(([, name]) => name);
  expect(new Set(named)).toEqual(new Set(['pg', 'Prisma', ...Object.keys(drivers)]));
});
