/** A worker with real sessions, and what of its mail goes straight through: for tests of that way. */
import { onTestFinished } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { Transport } from '../../src/transport/transport.ts';
import type { WorkerConfig } from '../../src/worker/settings.ts';
import type { SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';
import { countable, sink } from './accounting.ts';
import { configOf, startWorker, testProducer, type TestWorkerOptions } from './postlane.ts';
import { testPrefix } from './redis.ts';

export type StraightConnector = Parameters<typeof configOf>[0][string] & { readonly server?: SmtpServerOptions };

export interface StraightOptions extends Pick<TestWorkerOptions, 'timing' | 'redis'> {
  readonly prefix?: string;
  readonly rest?: Partial<WorkerConfig>;
  /** Called between the fetch of a message that may go straight through and the step that would let it go. */
  readonly beforeStep?: (id: string) => Promise<unknown> | void;
}

/** `straight` are the ids of messages that were let go by the step that entered their lane, `lane` of those that were sent from it. */
export async function startStraight(
  connectors: Readonly<Record<string, StraightConnector>>,
  { prefix = testPrefix(), rest = {}, beforeStep = () => undefined, timing = {}, redis }: StraightOptions = {},
) {
  const straight: string[] = [];
  const lane: string[] = [];
  const servers: Record<string, Awaited<ReturnType<typeof sink>>> = {};
  const transports: Record<string, Transport> = {};
  const settings: Parameters<typeof configOf>[0] = {};
  for (const [id, { server, ...connector }] of Object.entries(connectors)) {
    servers[id] = await sink(server);
    const maxConnections = connector.limits?.concurrency ?? 5;
    const at = smtpSettings(servers[id].port);
    const transport = createSmtpTransport({ settings: at, hostname: 'test.example', maxConnections });
    onTestFinished(() => transport.close());
    transports[id] = {
      ...transport,
      send(mail, context) {
        const { place, fence } = context;
        const asked = async (): Promise<boolean> => {
          if (place !== undefined) await beforeStep(mail.id);
          const may = await fence();
          if (may) (place === undefined ? lane : straight).push(mail.id);
          return may;
        };
        return transport.send(mail, { ...context, fence: asked });
      },
    };
    settings[id] = { addresses: [`*@${id}.example`], ...connector };
  }
  const config = configOf(settings, rest);
  const at = redis === undefined ? {} : { redis };
  const worker = await startWorker({ prefix, config, transports, timing, ...at });
  const producer = testProducer(prefix, at);
  /** Sends one, so that a session is idle afterwards. */
  const warm = async (id: string): Promise<void> => {
    const before = worker.of('sent').length;
    await producer.send(countable(`warm-${id}`, { from: `a@${id}.example` }));
    await until(() => worker.of('sent').length > before, { what: `the session of ${id}` });
  };
  return { prefix, config, worker, producer, servers, straight, lane, warm };
}

/** A message that this connector sends. */
export const messageFor = (connector: string, id: string, change: Partial<OutboundMessage> = {}): OutboundMessage =>
  countable(id, { from: `a@${connector}.example`, ...change });
