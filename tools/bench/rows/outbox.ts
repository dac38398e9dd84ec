/** Row: rows of an outbox, from PostgreSQL to Redis, beside `sendMany` of the same messages. */
import { Client } from 'pg';
import { databaseUrl } from '../../../src/config/outbox.ts';
import { defaultMessageLimits } from '../../../src/message/message.ts';
import { outboxInsert } from '../../../src/outbox/insert.ts';
import { startRelay } from '../../../src/outbox/relay.ts';
import { outboxMigration } from '../../../src/outbox/table.ts';
import { createProducer, type Producer } from '../../../src/producer/producer.ts';
import { postgresMissing, startPrivatePostgres } from '../../../testkit/postgres.ts';
import { until } from '../../../testkit/until.ts';
import { mailOf } from '../mail.ts';
import { startStore } from '../store.ts';
import { finding, type Row } from './row.ts';

interface Lap {
  readonly perSecond: number;
  /** Of this process: of the relay, or of the application. */
  readonly cpuUs: number;
}

const weekMs = 7 * 24 * 3_600_000;

export const outbox: Row = {
  id: 'outbox',
  title: 'rows of an outbox, from PostgreSQL to Redis',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const missing = postgresMissing();
    if (missing !== null) throw new Error(missing);
    const server = disposables.add(await startPrivatePostgres({ settings: ['fsync=on', 'shared_buffers=128MB'] }));
    const url = await server.create('shop');
    const store = disposables.add(await startStore());
    const producer = createProducer({ redis: { url: store.url }, timeoutMs: 20_000 });
    disposables.defer('producer', () => producer.close());
    const client = new Client({ connectionString: url });
    await client.connect();
    disposables.defer('connection', () => client.end());
    await client.query(outboxMigration);
    const count = sizes.backlog / 10;
    const half = Math.ceil(sizes.repetitions / 2);
    const laps: { readonly relay: Lap[]; readonly sendMany: Lap[] } = { relay: [], sendMany: [] };
    for (let lap = 0; lap <= half; lap += 1) {
      progress(`outbox: ${lap === 0 ? 'warming up' : `lap ${lap} of ${half}`}, ${count} rows`);
      // The first lap compiles.
      const size = lap === 0 ? Math.min(count, 5_000) : count;
      await store.clear();
      await fill(client, size);
      const relay = await measured(size, () => relayAll(url, client, producer));
      await store.clear();
      const sendMany = await measured(size, () => sendAll(producer, size));
      if (lap === 0) continue;
      laps.relay.push(relay);
      laps.sendMany.push(sendMany);
    }
    const [relay, sendMany] = [middle(laps.relay), middle(laps.sendMany)];
    return {
      findings: [
        finding(
          {
            what: `rows of an outbox, relayed by one process`,
            against: '`sendMany` of the same messages',
            measured: sendMany.cpuUs / relay.cpuUs,
            unit: '×',
          },
          null,
          `${Math.round(relay.perSecond)}/s, ${Math.round(relay.cpuUs)} µs, against ${Math.round(sendMany.perSecond)}/s, ${Math.round(sendMany.cpuUs)} µs of this process; ${count} rows of 4 KiB`,
        ),
      ],
      figures: [],
    };
  },
};

/** In one statement: what is measured is not how an application inserts. */
async function fill(client: Client, count: number): Promise<void> {
  const { values } = outboxInsert(mailOf(0));
  await client.query(
    `INSERT INTO postlane_outbox (id, message, given_id)
     SELECT gen_random_uuid(), replace($1, $2, gen_random_uuid()::text), false FROM generate_series(1, $3)`,
    [values[1].replace(`,"id":"${values[0]}"`, ''), values[0], count],
  );
  await client.query('VACUUM ANALYZE postlane_outbox');
}

async function relayAll(url: string, client: Client, producer: Producer): Promise<void> {
  const { encrypted: _, ...database } = databaseUrl.parse(url);
  const outbox = { database: null, batchRows: 200, batchBytes: 16 * 2 ** 20, pollMs: 100, listen: false };
  const relay = startRelay({
    database: { ...database, tls: null },
    producer,
    settings: () => ({
      outbox: { ...outbox, acknowledgeReplicas: 0 },
      limits: defaultMessageLimits,
      rememberedMs: weekMs,
    }),
    onEvent: () => undefined,
  });
  const isEmpty = async (): Promise<boolean> =>
    (await client.query('SELECT 1 FROM postlane_outbox LIMIT 1')).rowCount === 0;
  await until(isEmpty, { what: 'an empty outbox', timeoutMs: 600_000 });
  await relay.stop(10_000);
}

async function sendAll(producer: Producer, count: number): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    const results = await producer.sendMany(Array.from({ length: Math.min(200, count - from) }, () => mailOf(0)));
    if (results.some(({ ok }) => !ok)) throw new Error('a message was refused');
  }
}

async function measured(count: number, work: () => Promise<void>): Promise<Lap> {
  const [startedAt, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { perSecond: (count * 1_000) / (performance.now() - startedAt), cpuUs: (user + system) / count };
}

/** The lap with the median of processor time. */
function middle(laps: readonly Lap[]): Lap {
  return laps.toSorted((a, b) => a.cpuUs - b.cpuUs)[Math.floor(laps.length / 2)]!;
}
