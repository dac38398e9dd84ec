/** What the commands share that run until they are told to stop: a log on stdout, the configuration in force with its reloads, signals. */
import { isDeepStrictEqual } from 'node:util';
import { destination } from 'pino';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import { watchConfig } from '../config/watch.ts';
import { createLog, type Log, type LogEvent } from '../observability/log.ts';
import type { Call } from './command.ts';
import { load } from './compose.ts';
import { watchEndings } from './endings.ts';
import { heedSignals } from './signals.ts';

export type Loaded = Extract<LoadResult, { ok: true }>;

/** Synchronous: the last lines of a killed process are the ones that matter. */
export function openLog(name: string, { config }: Loaded): Log {
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  return createLog({ worker: name, level: config.log.level, destination: output });
}

export interface LongRunOptions {
  readonly call: Call;
  readonly loaded: Loaded;
  readonly log: Log;
  /** Who has applied a configuration. */
  readonly name: string;
  readonly tell: (event: LogEvent) => void;
  /** What of a changed configuration is in force only after a restart. */
  readonly restartKeys: (before: Config, next: Config) => readonly string[];
  readonly onChange?: (next: Config) => void;
  readonly onRejected?: (mistakes: number) => void;
}

export interface LongRun {
  /** In force now. */
  readonly config: () => Config;
  /** Resolves when the process shall end. */
  readonly stopped: Promise<void>;
  /** Ends the process soon, even if handles are still open. */
  close(): void;
}

export function beginLongRun(options: LongRunOptions): LongRun {
  const { call, loaded, log, name, tell, restartKeys, onChange, onRejected } = options;
  let config = loaded.config;
  const warn = (warnings: Loaded['warnings']): void => {
    for (const warning of warnings) tell({ event: 'config-warning', ...warning });
  };
  tell({ event: 'starting', config: loaded.file, connectors: config.connectors.length, node: process.version });
  warn(loaded.warnings);
  const watch = watchConfig({
    loaded,
    load: () => load(call, call.configFile),
    onChange(next, warnings) {
      warn(warnings);
      const keys = restartKeys(config, next);
      if (keys.length > 0) tell({ event: 'restart-needed', keys });
      config = next;
      log.setLevel(next.log.level);
      onChange?.(next);
      tell({ event: 'config-applied', worker: name, connectors: next.connectors.length });
    },
    onError(mistakes) {
      onRejected?.(mistakes.length);
      tell({ event: 'config-rejected', mistakes });
    },
  });
  const signals = heedSignals(watch, log);
  const endEndings = watchEndings(() => config, tell);
  return {
    config: () => config,
    stopped: signals.stopped,
    close() {
      endEndings();
      signals.close();
    },
  };
}

/** Settings by the name of their key. → the names of those that differ. */
export function changedKeys(was: Readonly<Record<string, unknown>>, is: Readonly<Record<string, unknown>>): string[] {
  const keys = new Set([...Object.keys(was), ...Object.keys(is)]);
  return [...keys].filter((key) => !isDeepStrictEqual(was[key], is[key]));
}
