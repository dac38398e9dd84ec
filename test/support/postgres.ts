/** Owns what a test needs of PostgreSQL: one server for a file, a database for each test, connections that end with it. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { startPrivatePostgres, type PostgresOptions, type PrivatePostgres } from '../../testkit/postgres.ts';

/** Starts before the first test of the file or block, and ends after the last. → gives it. */
export function filePostgres(options: PostgresOptions = {}): () => PrivatePostgres {
  let server: PrivatePostgres | null = null;
  beforeAll(async () => {
    server = await startPrivatePostgres(options);
  });
  afterAll(() => server?.stop());
  return () => server!;
}

/** A database of the test's own, with the tables of the text. → its URL. */
export async function testDatabase(server: PrivatePostgres, ...texts: readonly string[]): Promise<string> {
  const url = await server.create(`t_${randomBytes(6).toString('hex')}`);
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const text of texts) await client.query(text);
  await client.end();
  return url;
}

/** A connection that is closed when the test ends, passed or not. */
export async function testClient(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}
