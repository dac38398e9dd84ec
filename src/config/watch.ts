/**
 * Reloads the configuration when one of its files changes, or on demand: a good one is handed over, a bad one reported.
 *
 * Directories are watched, not files: editors replace the file by a new one, and Kubernetes swaps the symlink `..data` that
 * the files of a mounted ConfigMap or Secret go through. Both the directory of the path and that of its target are watched.
 * File systems without change events (some network and container mounts) need the reload on demand.
 */
import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config.ts';
import type { ConfigIssue } from './issues.ts';
import type { LoadResult } from './load.ts';

export interface WatchOptions {
  /** The configuration in force. */
  readonly loaded: Extract<LoadResult, { ok: true }>;
  readonly load: () => Promise<LoadResult>;
  /** A valid configuration that differs from the one in force, which it replaces. */
  readonly onChange: (config: Config, warnings: readonly ConfigIssue[]) => void;
  /** The file is wrong; what was in force stays. */
  readonly onError: (issues: readonly ConfigIssue[]) => void;
  /** Quiet time after the last change before the file is read, so that it is not read half-written. Default 200. */
  readonly debounceMs?: number;
}

type ReloadResult = 'changed' | 'unchanged' | 'invalid' | 'closed';

export interface ConfigWatch {
  /** Loads now. Never rejects but with what `onChange` or `onError` threw. Calls that overlap are done one after the other. */
  reload(): Promise<ReloadResult>;
  /** Stops watching; nothing is called any more. */
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
    // Of a bad configuration too: a file that it misses may appear. The new watch stands before the old one ends.
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

/** Null if there is no such directory (yet): the file in it is missing, and the load has said so. */
function watchDirectory(directory: string, listener: (name: string | null) => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      listener(name);
    });
    // The directory went away; the next load finds out what that means.
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
