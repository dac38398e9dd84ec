/** Whole workers in front of a real mail server, with the product's own schedule and pauses, and the count of what arrived. */
import type { Producer } from '../../src/producer/producer.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { SendPolicy } from '../../src/worker/settings.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import { countable } from '../support/accounting.ts';
import { testProducer, type TestWorker } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { startSender } from '../support/smtp-sender.ts';

/** Those of docs/configuration.md: what a test waits for comes within its own time, or never. */
const defaults: SendPolicy = {
  firstDelayMs: 30_000,
  maxDelayMs: 3_600_000,
  lifetimeMs: 86_400_000,
  attributeWithinMs: 3_600_000,
  onUncertain: 'retry',
};

export interface Relay {
  readonly id: string;
  readonly port: number;
  readonly change?: SmtpSettingsChange;
}

export interface RelayOptions {
  readonly retry?: Partial<SendPolicy>;
  readonly concurrency?: number;
  /** Default 1: pauses as in production. */
  readonly pauseScale?: number;
}

export interface RelayRun {
  readonly prefix: string;
  readonly producer: Producer;
  readonly worker: TestWorker;
}

/** A worker with a connector for each server, which sends for `<id>@example.com`. Ends with the test. */
export async function startRelay(relays: readonly Relay[], options: RelayOptions = {}): Promise<RelayRun> {
  const { retry = {}, concurrency = 5, pauseScale = 1 } = options;
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const servers = relays.map(({ id, port, change }) => ({ id, settings: smtpSettings(port, change) }));
  const timing = { pauseScale };
  const worker = await startSender({ prefix, servers, concurrency, timing, retry: { ...defaults, ...retry } });
  return { prefix, producer, worker };
}

/** Messages of one connector, each with a recipient that names it. */
export function mailFor(connector: string, count: number, name = connector): OutboundMessage[] {
  return Array.from({ length: count }, (_, at) => countable(`${name}${at}`, { from: `${connector}@example.com` }));
}

export const idsOf = (messages: readonly Pick<OutboundMessage, 'id'>[]): string[] => messages.map(({ id }) => id!);
