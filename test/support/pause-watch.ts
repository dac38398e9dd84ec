/**
 * What Redis itself saw of the pauses of lanes and of attempts that begin, in the order in which it ran the commands. So it can be
 * said which came first, whatever the load of the machine and the clocks of its processes.
 */
import { fullLimiter } from '../../src/queue/bullmq/layout.ts';
import { testConnection } from './redis.ts';

interface Pause {
  readonly lane: string;
  /** ms since the epoch. */
  readonly from: number;
  readonly until: number;
}

export interface PauseWatch {
  readonly pauses: readonly Pause[];
  /** Attempts that began within a pause of their lane. `laneOf` gives the lane of a message. */
  begunWithin(laneOf: (messageId: string) => string): string[];
}

/** Redis ends a key by whole milliseconds. */
const roundingMs = 2;

/** Watches the keys of a prefix until the test ends. */
export async function watchPauses(prefix: string): Promise<PauseWatch> {
  // Not `monitor()` of ioredis 6: a command of others that Redis reports together with its OK is an error there, which that
  // method either rejects with or leaves to end the process. Here it is a command before the watch, and ignored.
  const monitor = testConnection({ monitor: true });
  await new Promise((resolve) => void monitor.once('monitoring', resolve));
  const pauses: Pause[] = [];
  const begun: { readonly messageId: string; readonly at: number }[] = [];
  monitor.on('monitor', (time: string, [command = '', key = '', ...values]: string[]) => {
    if (!key.startsWith(`${prefix}:`)) return;
    const at = Number(time) * 1_000;
    const [name = '', rest = ''] = key.slice(prefix.length + 1).split(':');
    const verb = command.toUpperCase();
    // The closed limiter of a lane, and the row of a message whose attempt is opened.
    if (verb === 'SET' && rest === 'limiter' && values[0] === String(fullLimiter)) {
      pauses.push({ lane: name, from: at, until: at + Number(values[2]) });
    }
    if (verb === 'HSET' && name === 'ledger' && values.includes('sending')) begun.push({ messageId: rest, at });
  });
  return {
    pauses,
    begunWithin: (laneOf) =>
      pauses.flatMap(({ lane, from, until }) =>
        begun
          .filter(({ messageId, at }) => laneOf(messageId) === lane && at > from && at < until - roundingMs)
          .map(
            ({ messageId, at }) =>
              `${messageId} began ${Math.round(at - from)} ms after ${lane} paused for ${until - from} ms`,
          ),
      ),
  };
}
