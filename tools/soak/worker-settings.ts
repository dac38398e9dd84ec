/** The settings of the soak's workers: a connector for each server profile, with times short enough for a run of minutes. */
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import type { WorkerSettings } from '../../testkit/worker.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { ConnectorConfig } from '../../src/worker/settings.ts';
import { login, profiles } from './servers.ts';

const concurrency = 6;
const retry = { firstDelayMs: 300, maxDelayMs: 2_000, lifetimeMs: 3_600_000 };
const timeouts = {
  connectMs: 2_000,
  greetingMs: 2_000,
  commandMs: 2_000,
  dataTerminationMs: 3_000,
  totalMs: 8_000,
};
const dayMs = 86_400_000;

/** `ports`: the port of each profile's server. */
export function workerSettings(
  redis: WorkerSettings['redis'],
  ports: Readonly<Record<string, number>>,
): Omit<WorkerSettings, 'name'> {
  return {
    redis,
    config: {
      systemDefaultGateway: 'calm',
      unmonitoredAddress: { address: 'system@calm.test' },
      connectors: profiles.map(({ id, onUncertain }): ConnectorConfig => ({
        id,
        direction: 'outgoing',
        addresses: [`*@${id}.test`],
        transport: { port: ports[id] },
        limits: { concurrency, messagesPerMinute: null },
        retry: { ...retry, onUncertain },
      })),
      message: defaultMessageLimits,
      retry,
      retention: { ledgerMs: dayMs, deadLetterMs: dayMs, deadLetterCount: 1_000_000 },
      worker: { slots: 30, drainMs: 4_000 },
    },
    smtp: Object.fromEntries(
      profiles.map(({ id, auth }) => {
        const credentials = auth ? { auth: login, allowInsecureAuth: true } : {};
        return [id, smtpSettings(ports[id] ?? 0, { ...credentials, timeouts })];
      }),
    ),
    timing: { lockMs: 3_000, maintenanceMs: 1_000, lateResultMs: 4_000 },
  };
}
