/** An installation with a message in every state that has a body, sealed with a first key; and what is left of that key. */
import { randomBytes } from 'node:crypto';
import { createSealing, type EncryptionOptions } from '../../src/sealing/sealing.ts';
import type { Operator } from '../../src/admin/operator.ts';
import type { RekeyOptions, RekeyReport } from '../../src/admin/rekey.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer, testRetry, type TestWorker } from './postlane.ts';
import { testConnection } from './redis.ts';

const [k1, k2] = [1, 2].map(() => randomBytes(32).toString('base64')) as [string, string];
export const first: EncryptionOptions = { active: 'k1', keys: { k1 } };
export const bothFirst: EncryptionOptions = { active: 'k1', keys: { k1, k2 } };
export const both: EncryptionOptions = { active: 'k2', keys: { k1, k2 } };
export const second: EncryptionOptions = { active: 'k2', keys: { k2 } };

export const large = randomBytes(2_500_000);
const hourMs = 3_600_000;
const retention = { ledgerMs: hourMs, deadLetterMs: hourMs, deadLetterCount: 1_000, contentMs: hourMs };

/** Connectors by what becomes of their mail. `paused` is paused. */
export function rekeyConfig(encryption: EncryptionOptions | null) {
  const retry = { ...testRetry, firstDelayMs: hourMs, maxDelayMs: hourMs };
  return configOf(
    {
      relay: {},
      paused: { addresses: ['paused@example.com'] },
      refusing: { addresses: ['refusing@example.com'] },
      deferring: { addresses: ['deferring@example.com'], retry },
      holding: { addresses: ['holding@example.com'], retry: { ...testRetry, onUncertain: 'hold' } },
    },
    { encryption, retention },
  );
}

export function mailOf(id: string, from = 'a', more: object = {}) {
  return {
    id,
    from: `A <${from}@example.com>`,
    to: `${id}@example.net`,
    subject: `Subject of ${id}`,
    text: `Text of ${id}`,
    attachments: [
      { filename: 'small.txt', content: 'small' },
      { filename: 'large.bin', content: large },
    ],
    ...more,
  };
}

/** Where each message comes to rest. */
export const everywhere = {
  sent: 'a',
  paused: 'paused',
  refused: 'refusing',
  deferred: 'deferring',
  held: 'holding',
} as const;

/** Messages that are sent and kept, wait in a lane, are dead, deferred, held and scheduled; and one that no worker has seen. */
export async function filled(prefix: string, encryption: EncryptionOptions | null): Promise<TestWorker> {
  const producer = testProducer(prefix, { encryption });
  const operator = await testOperator(prefix, undefined, undefined, { encryption });
  await operator.lanes.pause('paused');
  const scripts = { refusing: ['rejected'], deferring: ['deferred'], holding: ['uncertain'] } as const;
  const started = await startWorker({ prefix, config: rekeyConfig(encryption), scripts });
  const sendAt = new Date(Date.now() + hourMs);
  const messages = [
    ...Object.entries(everywhere).map(([id, from]) => mailOf(id, from)),
    mailOf('scheduled', 'a', { sendAt }),
  ];
  for (const result of await producer.sendMany(messages)) if (!result.ok) throw result.error;
  const states = { sent: 'sent', paused: 'queued', refused: 'dead', deferred: 'deferred', held: 'held' };
  for (const [id, state] of Object.entries(states)) {
    await until(
      async () => {
        const status = await producer.status(id);
        return status?.state === state && (state !== 'queued' || (await operator.lanes.status('paused')).waiting === 1);
      },
      { what: `${id} to be ${state}`, timeoutMs: 30_000 },
    );
  }
  await started.worker.stop();
  await producer.send(mailOf('new'));
  return started;
}

export async function rekeyAs(
  prefix: string,
  encryption: EncryptionOptions,
  options: Partial<RekeyOptions> = {},
): Promise<RekeyReport> {
  const operator: Operator = await testOperator(prefix, undefined, undefined, { encryption });
  const report = await operator.rekey({ from: null, dryRun: false, betweenMs: 0, ...options });
  if (report === null) throw new Error('there are no keys');
  return report;
}

/** Keys of Redis under which something is that a key has sealed. */
export async function sealedWith(prefix: string, { active, keys }: EncryptionOptions): Promise<string[]> {
  const { print } = createSealing({ active, keys }).keyring.sealing!;
  const redis = testConnection();
  const found: string[] = [];
  for await (const page of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 500 })) {
    for (const key of page as string[]) {
      const type = await redis.type(key);
      const text =
        type === 'hash'
          ? Object.values(await redis.hgetall(key)).join('\n')
          : type === 'string'
            ? (await redis.getBuffer(key))!.toString('latin1')
            : '';
      if (text.includes(print)) found.push(key.slice(key.indexOf('}') + 2));
    }
  }
  return found.sort();
}
