/** Starts a private microsocks, a SOCKS5 proxy, on the loopback: `apt-get install microsocks` is enough. */
import { existsSync } from 'node:fs';
import { startGuarded } from '../guarded.ts';
import { freePort } from '../ports.ts';
import { until } from '../until.ts';
import { accepts } from './accepts.ts';

export interface Microsocks {
  readonly port: number;
  /** What it has connected to: `127.0.0.1:25`. */
  connects(): string[];
  stop(): Promise<void>;
}

const program = '/usr/bin/microsocks';

/** Why microsocks cannot run here; null if it can. */
export function microsocksMissing(): string | null {
  return existsSync(program) ? null : `${program} is missing (Debian: apt-get install microsocks)`;
}

/** `login`: it wants this one. */
export async function startMicrosocks(login: { user: string; password: string } | null = null): Promise<Microsocks> {
  const port = await freePort();
  const wants = login === null ? [] : ['-u', login.user, '-P', login.password];
  const guarded = await startGuarded([program, '-i', '127.0.0.1', '-p', String(port), ...wants]);
  const ready = async (): Promise<boolean> => !guarded.running() || accepts('127.0.0.1', port);
  await until(ready, { what: 'microsocks to listen', timeoutMs: 20_000 });
  if (!guarded.running()) throw new Error(`microsocks did not start: ${guarded.stderr()}`);
  return {
    port,
    connects: () => [...guarded.stderr().matchAll(/connected to (\S+)/g)].map(([, to = '']) => to),
    async stop() {
      await guarded.end();
    },
  };
}
