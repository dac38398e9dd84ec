/**
 * An application with PostgreSQL that saves an order together with its mail: both are there, or neither is. `postlane outbox` relays the mail.
 *
 *   DATABASE_URL=postgres://shop:secret@127.0.0.1/shop node examples/outbox.ts you@example.net
 *   POSTLANE_DATABASE_URL=postgres://shop:secret@127.0.0.1/shop postlane outbox
 *
 * In your own application: import { outboxInsert, outboxMigration } from 'postlane/outbox';
 */
import { Client } from 'pg';
import { outboxInsert, outboxMigration } from '../src/outbox.ts';

const [to = 'you@example.net'] = process.argv.slice(2);
const client = new Client({ connectionString: process.env.DATABASE_URL ?? 'postgres://postgres@127.0.0.1/postgres' });
await client.connect();

// Your migrations do this: `postlane outbox --print-migration` prints the text.
await client.query(outboxMigration);
await client.query(
  'CREATE TABLE IF NOT EXISTS orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, buyer text)',
);

async function saveOrder(buyer: string, total: number): Promise<string> {
  await client.query('BEGIN');
  try {
    const { rows } = await client.query<{ id: string }>('INSERT INTO orders (buyer) VALUES ($1) RETURNING id', [buyer]);
    const mail = outboxInsert({
      // Your own id: the same order never gets two mails.
      id: `order-${rows[0]?.id}-thanks`,
      from: 'Sales <sales@example.com>',
      to: buyer,
      subject: 'Thanks for your order',
      text: `We have received your order ${rows[0]?.id}.`,
    });
    await client.query(mail.text, mail.values);
    if (total > 1_000) throw new Error('the card was refused');
    await client.query('COMMIT');
    return mail.id;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

console.log(`saved, with the mail ${await saveOrder(to, 42)}`);
await saveOrder(to, 4_200).catch((error: Error) => console.log(`not saved, and no mail: ${error.message}`));
await client.end();
