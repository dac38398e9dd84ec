/** Whether a stop waits for every send, in a sentence: for `doctor`. */
import type { Config } from '../config/config.ts';
import { longestSend } from '../config/longest-send.ts';
import type { Terminal } from './terminal.ts';

/** Nothing if `worker.drain` is as long as the longest send that the timeouts of the connectors allow. */
export function noteDrain(config: Pick<Config, 'connectors' | 'worker'>, terminal: Terminal): void {
  const { drainMs } = config.worker;
  const longest = longestSend(config);
  if (longest === null || longest.longestMs <= drainMs) return;
  const { connector, longestMs } = longest;
  terminal.note(
    `worker.drain is ${durationOf(drainMs)}, but the timeouts of ${connector} allow a send of ${durationOf(longestMs)}. ` +
      'A stop aborts what then still runs: a message whose body was transmitted becomes uncertain. ' +
      `To let every send finish, set worker.drain: ${durationOf(longestMs)}, and let the supervisor wait 30 seconds longer.`,
  );
}

/** As the configuration has it: one number and one unit. */
function durationOf(ms: number): string {
  const units = [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  const [unit, size] = units.find(([, size]) => ms >= size && ms % size === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}
