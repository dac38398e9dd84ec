/** Reading delivery reports within a worker: a connection to Redis of its own, which is made when the first mailbox is read. */
import type { Config } from '../config/config.ts';
import type { BouncesEvent } from '../bounces/events.ts';
import { openOperator } from './compose.ts';
import { shareOperator } from './shared-operator.ts';

export interface RunningBounces {
  start(): Promise<void>;
  apply(config: Config): void;
  stop(): Promise<void>;
  /** As the metrics show it; null while no mailbox is read. */
  oldestReadAt(): number | null;
}

interface Options {
  readonly emit: (event: BouncesEvent) => void;
  readonly onError: (error: Error) => void;
}

/** `config`: at the start. A process without such connectors loads none of it. */
export function openBounces(config: Config, { emit, onError }: Options): RunningBounces {
  let current = config;
  let bounces: Awaited<ReturnType<typeof create>> | null = null;
  let starting: Promise<void> | null = null;
  let isStopped = false;
  const operator = shareOperator(() => openOperator(current));
  const create = async () => {
    const { createBounces } = await import('../bounces/bounces.ts');
    return createBounces({ config: current, redis: operator.get, emit, onError });
  };
  const begin = async (): Promise<void> => {
    bounces = await create();
    if (!isStopped) bounces.start();
  };
  const start = async (): Promise<void> => {
    if (isStopped || !current.connectors.some(({ bounces: mailboxes }) => mailboxes.length > 0)) return;
    starting ??= begin();
    await starting;
  };
  return {
    start,
    apply(next) {
      current = next;
      if (bounces === null) start().catch(onError);
      else bounces.apply(next);
    },
    async stop() {
      isStopped = true;
      await starting;
      await bounces?.stop();
      operator.close();
    },
    oldestReadAt: () => bounces?.oldestReadAt() ?? null,
  };
}
