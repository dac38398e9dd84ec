/** Signals of a process that runs until it is told to stop: the first SIGTERM or SIGINT asks for the end, SIGHUP for a reload. */
import { asError } from '../errors.ts';
import type { ConfigWatch } from '../config/watch.ts';
import type { Log } from '../observability/log.ts';

/** A process does not wait longer than this, in ms, for what keeps it alive after its last line, such as a socket without an answer. */
const lingerMs = 2_000;

export interface Signals {
  /** Resolves when the process shall end. */
  readonly stopped: Promise<void>;
  /** Stops listening for signals, and ends the process soon even if handles are still open. */
  close(): void;
}

/** A second signal ends the process at once. */
export function heedSignals(watch: ConfigWatch, log: Log): Signals {
  const first = Promise.withResolvers<void>();
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    log({ event: 'signal', signal });
    if (asked) process.exit(1);
    asked = true;
    first.resolve();
  };
  const reload = (): void => void reloadNow(watch, log);
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
  for (const signal of signals) process.on(signal, onSignal);
  process.on('SIGHUP', reload);
  return {
    stopped: first.promise,
    close() {
      for (const signal of signals) process.off(signal, onSignal);
      process.off('SIGHUP', reload);
      watch.close();
      setTimeout(() => process.exit(), lingerMs).unref();
    },
  };
}

async function reloadNow(watch: ConfigWatch, log: Log): Promise<void> {
  log({ event: 'signal', signal: 'SIGHUP' });
  try {
    if ((await watch.reload()) === 'unchanged') log({ event: 'config-unchanged' });
  } catch (thrown) {
    log({ event: 'error', id: null, where: 'reload', detail: asError(thrown).message });
  }
}
