/** The books of a fault test: what the source was told is accepted, what the servers took, and what the ledger says of it. */
import { onTestFinished } from 'vitest';
import type { MessageStatus, Producer } from '../../src/producer/producer.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';

/** A message whose recipient names it, so that it can be counted at the server. */
export function countable(id: string, change: Partial<OutboundMessage> = {}): OutboundMessage {
  return { id, from: 'x@example.com', to: `${id}@example.net`, text: id, ...change };
}

export function countableMany(count: number, name = 'm'): OutboundMessage[] {
  return Array.from({ length: count }, (_, i) => countable(`${name}${i}`));
}

/** A server that ends with the test. */
export async function sink(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const server = await startSmtpServer(options);
  onTestFinished(() => server.stop());
  return server;
}

/** How often servers have taken a message: its final dot was answered with 2xx, whether that was heard or not. */
export function copiesOf(id: string, servers: readonly SmtpServer[]): number {
  return copies(servers).get(id) ?? 0;
}

function copies(servers: readonly SmtpServer[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { received } of servers) {
    for (const { to, accepted } of received.transactions) {
      if (!accepted) continue;
      for (const address of to) {
        const id = address.split('@')[0] ?? '';
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
  }
  return counts;
}

/** All messages' rows, once each is at its end or waits for an operator. */
export function settled(producer: Producer, ids: readonly string[], timeoutMs = 30_000): Promise<MessageStatus[]> {
  const ends = new Set(['sent', 'partial', 'dead', 'cancelled', 'held']);
  const rows = new Map<string, MessageStatus>();
  return until(
    async () => {
      for (const id of ids) {
        if (rows.has(id)) continue;
        const row = await producer.status(id);
        if (row === null || !ends.has(row.state)) throw new Error(`${id} is ${JSON.stringify(row)}`);
        rows.set(id, row);
      }
      return ids.map((id) => rows.get(id)!);
    },
    { what: 'every message to end', timeoutMs },
  );
}

/** The ledger says of an attempt that nobody knows what came of it. */
export function isUncertain({ history, reason }: MessageStatus): boolean {
  return reason === 'uncertain' || history.some(({ event }) => event === 'uncertain');
}

export interface Books {
  /** `sent` by the ledger, without a copy at a server. Those that come to no end fail `settled` already. */
  readonly lost: readonly string[];
  /** More than one copy, and the ledger does not say why. */
  readonly blindlyTwice: readonly string[];
  /** More than one copy after an attempt that the ledger calls uncertain. */
  readonly knowinglyTwice: readonly string[];
  readonly states: Readonly<Record<string, number>>;
}

export function balance(rows: readonly MessageStatus[], servers: readonly SmtpServer[]): Books {
  const counts = copies(servers);
  const states: Record<string, number> = {};
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1;
  const twice = rows.filter(({ id }) => (counts.get(id) ?? 0) > 1);
  return {
    lost: rows.filter(({ id, state }) => state === 'sent' && !counts.has(id)).map(({ id }) => id),
    blindlyTwice: twice.filter((row) => !isUncertain(row)).map(({ id }) => id),
    knowinglyTwice: twice.filter(isUncertain).map(({ id }) => id),
    states,
  };
}
