/**
 * Reloads the configuration when one of its files changes, or on demand. A valid one replaces the current one; mistakes are reported.
 *
 * Directories are watched, not files: editors replace the file, and Kubernetes swaps the symlink `..data` that the files of a
 * mounted ConfigMap or Secret go through. Both the directory of the path and that of its target are watched. File systems
 * without change events (some network and container mounts) need a reload on demand.
 */
import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';
import type { ConfigIssue } from './issues.ts';
import type { LoadResult } from './load.ts';

export interface WatchOptions {
  /** The current configuration. */
  readonly loaded: Extract<LoadResult, { ok: true }>;
  readonly load: () => Promise<LoadResult>;
  /** Called with a valid configuration that differs from the current one and replaces it. */
  readonly onChange: (config: Config, warnings: readonly ConfigIssue[]) => void;
  /** Called with the mistakes of an invalid configuration; the current one stays. */
  readonly onError: (issues: readonly ConfigIssue[]) => void;
  /** Time without changes before the file is read, so that it is not read half-written. Default 200. */
  readonly debounceMs?: number;
}

type ReloadResult = 'changed' | 'unchanged' | 'invalid' | 'closed';

export interface ConfigWatch {
  /** Reloads now. Rejects only with what `onChange` or `onError` threw. Overlapping calls run one after the other. */
  reload(): Promise<ReloadResult>;
  /** Stops watching; no callback is called afterwards. */
  close(): void;
}

export function watchConfig({ loaded, load, onChange, onError, debounceMs = 200 }: WatchOptions): ConfigWatch {
  let current = loaded.config;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let directories = watchDirectories(loaded.files, touched);

  function touched(): void {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(() => void reload(), debounceMs);
  }

  async function loadOnce(): Promise<ReloadResult> {
    const result = await load();
    if (closed) return 'closed';
    // For an invalid configuration too: a missing file may appear. The new watch starts before the old one ends.
    const next = watchDirectories(result.files, touched);
    directories.close();
    directories = next;
    if (!result.ok) {
      onError(result.issues);
      return 'invalid';
    }
    if (isDeepStrictEqual(result.config, current)) return 'unchanged';
    current = result.config;
    onChange(result.config, result.warnings);
    return 'changed';
  }

  async function reload(): Promise<ReloadResult> {
    const turn = running.then(loadOnce, loadOnce);
    running = turn;
    return turn;
  }

  return {
    reload,
    close: () => {
      closed = true;
      clearTimeout(timer);
      directories.close();
    },
  };
}

function watchDirectories(files: readonly string[], touched: () => void): { close: () => void } {
  const names = new Map<string, Set<string>>();
  for (const path of files.flatMap((file) => [file, targetOf(file)])) {
    const directory = dirname(path);
    names.set(directory, (names.get(directory) ?? new Set(['..data'])).add(basename(path)));
  }
  const watchers = [...names].flatMap(([directory, wanted]) => {
    const watcher = watchDirectory(directory, (name) => {
      if (name === null || wanted.has(name)) touched();
    });
    return watcher === null ? [] : [watcher];
  });
  return {
    close: () => {
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** Null if the directory does not exist (yet); the load has already reported the missing file. */
function watchDirectory(directory: string, listener: (name: string | null) => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      listener(name);
    });
    // The directory was removed; the next load reports what is missing.
    watcher.on('error', () => {
      listener(null);
    });
    return watcher;
  } catch {
    return null;
  }
}

function targetOf(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
