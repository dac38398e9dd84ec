/** Relays within a test, their events, and rows of its own database. */
import type { Client } from 'pg';
import { onTestFinished } from 'vitest';
import { databaseUrl, type DatabaseSettings, type OutboxSettings } from '../../src/config/outbox.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { OutboxEvent } from '../../src/outbox/events.ts';
import { outboxInsert } from '../../src/outbox/insert.ts';
import { startRelay, type Relay } from '../../src/outbox/relay.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { until } from '../../testkit/until.ts';

interface TestRelay {
  readonly relay: Relay;
  readonly events: OutboxEvent[];
  readonly of: <Name extends OutboxEvent['event']>(name: Name) => Extract<OutboxEvent, { event: Name }>[];
  /** Rows that it took out of the table. */
  readonly total: () => { readonly relayed: number; readonly duplicates: number };
}

interface TestRelayOptions extends Partial<Omit<OutboxSettings, 'database'>> {
  readonly url: string;
  readonly producer: Pick<Producer, 'send'>;
  readonly tls?: DatabaseSettings['tls'];
  readonly rememberedMs?: number;
}

const weekMs = 7 * 24 * 3_600_000;

/** Polls all the time, so that a test need not wait. Stops with the test. */
export function testRelay({
  url,
  producer,
  tls = null,
  rememberedMs = weekMs,
  ...outbox
}: TestRelayOptions): TestRelay {
  const events: OutboxEvent[] = [];
  const { encrypted: _, ...database } = databaseUrl.parse(url);
  const relay = startRelay({
    database: { ...database, tls },
    producer,
    settings: () => ({
      outbox: {
        database: null,
        batchRows: 200,
        batchBytes: 16 * 2 ** 20,
        pollMs: 20,
        listen: false,
        acknowledgeReplicas: 0,
        ...outbox,
      },
      limits: defaultMessageLimits,
      rememberedMs,
    }),
    onEvent: (event) => events.push(event),
  });
  onTestFinished(async () => {
    await relay.stop(10_000);
  });
  const of: TestRelay['of'] = (name) => events.filter((event): event is never => event.event === name);
  const sum = (what: 'relayed' | 'duplicates'): number =>
    of('outbox-relayed').reduce((total, event) => total + event[what], 0);
  return { relay, events, of, total: () => ({ relayed: sum('relayed'), duplicates: sum('duplicates') }) };
}

export async function insertRow(client: Client, message: OutboundMessage): Promise<string> {
  const { id, text, values } = outboxInsert(message);
  await client.query(text, values);
  return id;
}

/** What the table has, in its order. */
export async function rowsOf(client: Client): Promise<{ id: string; problem: string | null; tries: number }[]> {
  const { rows } = await client.query<{ id: string; problem: string | null; tries: number }>(
    'SELECT id, problem, tries FROM postlane_outbox ORDER BY seq',
  );
  return rows;
}

export function emptied(client: Client, timeoutMs = 60_000): Promise<boolean> {
  return until(async () => (await rowsOf(client)).length === 0, { what: 'an empty outbox', timeoutMs });
}
