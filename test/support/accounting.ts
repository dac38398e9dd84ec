/** The accounting of a fault test: compares what the producer accepted, what the servers received, and what the ledger says. */
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

type Received = Pick<SmtpServer, 'received'>;

/** How often servers have accepted a message, whether or not the client got the reply. */
export function copiesOf(id: string, servers: readonly Received[]): number {
  return copies(servers).get(id) ?? 0;
}

function copies(servers: readonly Received[]): Map<string, number> {
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

const endStates = new Set(['sent', 'partial', 'dead', 'cancelled', 'held']);

/** The rows of all messages (or ids), once each is terminal or held for an operator. */
export function settled(
  producer: Producer,
  messages: readonly (string | Pick<OutboundMessage, 'id'>)[],
  timeoutMs = 90_000,
): Promise<MessageStatus[]> {
  const ids = messages.map((message) => (typeof message === 'string' ? message : message.id!));
  const rows = new Map<string, MessageStatus>();
  return until(
    async () => {
      for (const id of ids) {
        if (rows.has(id)) continue;
        const row = await producer.status(id);
        if (row === null || !endStates.has(row.state)) throw new Error(`${id} is ${JSON.stringify(row)}`);
        rows.set(id, row);
      }
      return ids.map((id) => rows.get(id)!);
    },
    { what: 'every message to be settled', timeoutMs },
  );
}

/** The ledger has an attempt of this message without a known result. */
export function isUncertain({ history, reason }: MessageStatus): boolean {
  return reason === 'uncertain' || history.some(({ event }) => event === 'uncertain');
}

export interface Account {
  /** `sent` by the ledger, without a copy at a server. Messages that never settle already fail `settled`. */
  readonly lost: readonly string[];
  /** More than one copy, and the ledger does not say why. */
  readonly blindlyTwice: readonly string[];
  /** More than one copy after an attempt that the ledger calls uncertain. */
  readonly knowinglyTwice: readonly string[];
  readonly states: Readonly<Record<string, number>>;
}

export function account(rows: readonly MessageStatus[], servers: readonly Received[]): Account {
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

/** The account of messages that were all delivered, none of them twice. */
export function allOnce(count: number): Account {
  return { lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: count } };
}

/** The account of messages that were all delivered; a second copy needs an uncertain attempt. */
export function allSent(count: number): Partial<Account> {
  return { lost: [], blindlyTwice: [], states: { sent: count } };
}
