/**
 * A worker process of the soak: the worker with SMTP transports, and with times short enough for a run of minutes. Its
 * settings are its only argument, as JSON; it says its events on stdout, one JSON document per line. It ends with the
 * process that started it, whose end closes its stdin.
 */
import { defaultMessageLimits } from '../../src/message/message.ts';
import { createRegistry } from '../../src/transport/registry.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { ConnectorConfig, WorkerConfig } from '../../src/worker/settings.ts';
import { createWorker } from '../../src/worker/worker.ts';
import { habits, login } from './servers.ts';

export interface SoakWorkerSettings {
  readonly name: string;
  readonly redis: { readonly url: string; readonly prefix: string };
  /** Port of each connector's server, by connector id. */
  readonly ports: Readonly<Record<string, number>>;
}

const { name, redis, ports } = JSON.parse(process.argv[2] ?? '{}') as SoakWorkerSettings;
const retry = { firstDelayMs: 300, maxDelayMs: 2_000, lifetimeMs: 3_600_000 };
const timeouts = {
  connectMs: 2_000,
  greetingMs: 2_000,
  commandMs: 2_000,
  dataTerminationMs: 3_000,
  totalMs: 8_000,
};

const config: WorkerConfig = {
  systemDefaultGateway: 'calm',
  unmonitoredAddress: { address: 'system@calm.test' },
  connectors: habits.map(({ id, onUncertain }): ConnectorConfig => ({
    id,
    direction: 'outgoing',
    addresses: [`*@${id}.test`],
    transport: { port: ports[id] },
    limits: { concurrency: 6, messagesPerMinute: null },
    retry: { ...retry, onUncertain },
  })),
  message: defaultMessageLimits,
  retry,
  retention: { ledgerMs: 86_400_000, deadLetterMs: 86_400_000, deadLetterCount: 1_000_000 },
  worker: { slots: 30, drainMs: 4_000 },
};

const registry = createRegistry((id) => {
  const habit = habits.find((each) => each.id === id);
  const port = ports[id];
  if (habit === undefined || port === undefined) return null;
  return createSmtpTransport({
    settings: {
      host: '127.0.0.1',
      port,
      security: 'none',
      allowInsecureAuth: true,
      replyRules: [],
      timeouts,
      auth: habit.auth ? login : null,
      tls: {
        ca: null,
        servername: null,
      },
    },
    hostname: 'soak.test',
    maxConnections: 6,
  });
});

const worker = createWorker({
  redis,
  config,
  transport: (id) => registry.get(id),
  listeners: [(event) => process.stdout.write(`${JSON.stringify({ at: Date.now(), ...event })}\n`)],
  name,
  timing: { lockMs: 3_000, maintenanceMs: 1_000, lateResultMs: 4_000 },
});

process.stdout.on('error', () => process.exit(1));
process.stdin.on('end', () => process.exit(1)).resume();
process.on('SIGTERM', () => void stop());
await worker.start();

async function stop(): Promise<never> {
  const drained = await worker.stop();
  await registry.close();
  process.exit(drained ? 0 : 1);
}
