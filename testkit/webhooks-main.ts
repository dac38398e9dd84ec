/**
 * The program of a process that serves webhooks, to be killed: its only argument is WebhookSettings as JSON, JSON lines on stdout report
 * what it tells. It ends with its starter, whose end closes its stdin.
 */
import { writeSync } from 'node:fs';
import type { RedisSettings } from '../src/queue/redis/settings.ts';
import type { WebhookEndpoint } from '../src/config/webhooks.ts';
import { createSender } from '../src/webhooks/sender.ts';
import { startWebhooks } from '../src/webhooks/webhooks.ts';

export interface WebhookSettings {
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  readonly endpoints: readonly WebhookEndpoint[];
  readonly leaseMs: number;
  readonly lockMs: number;
  /** Of a request. */
  readonly timeoutMs: number;
}

const { timeoutMs, ...settings } = JSON.parse(process.argv[2] ?? '') as WebhookSettings;
const tell = (line: object): void => void writeSync(1, `${JSON.stringify(line)}\n`);
process.stdin.resume().once('end', () => process.exit(3));
startWebhooks({ ...settings, sender: createSender({ timeoutMs }), tell });
tell({ event: 'started' });
