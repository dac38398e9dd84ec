/**
 * An application with an outbox, as a process of a test: takes ids of orders on stdin, one a line, and stores each with its mail in one
 * transaction. Arguments: the URL of its database, and how many of ten it rolls back.
 */
import { createInterface } from 'node:readline';
import { Client } from 'pg';
import { outboxInsert } from '../src/outbox.ts';

const [url = '', rolledBack = '0'] = process.argv.slice(2);
const say = (event: string, id: string): void => void process.stdout.write(`${JSON.stringify({ event, id })}\n`);

const client = new Client({ connectionString: url });
await client.connect();
say('ready', '');
for await (const id of createInterface({ input: process.stdin })) {
  const insert = outboxInsert({ id, from: 'shop@example.com', to: `${id}@example.net`, text: id });
  await client.query('BEGIN');
  await client.query('INSERT INTO orders (id) VALUES ($1)', [id]);
  await client.query(insert.text, insert.values);
  if (Number(/\d$/.exec(id)?.[0] ?? 9) < Number(rolledBack)) {
    await client.query('ROLLBACK');
    say('rolled-back', id);
  } else {
    await client.query('COMMIT');
    say('committed', id);
  }
}
await client.end();
