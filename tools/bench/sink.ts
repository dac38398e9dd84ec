/**
 * The server that accepts every message: Postfix' `smtp-sink`, which answers 250 and discards it. It counts messages, and
 * every contender is timed by that count.
 */
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync, readSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startGuarded } from '../../testkit/guarded.ts';
import { freePort } from '../../testkit/ports.ts';

export interface Lap {
  readonly messages: number;
  readonly ms: number;
}

export interface Sink {
  readonly port: number;
  readonly pid: number;
  /** Messages answered with 250, ever. */
  count(): number;
  /** From the first of `messages` more to the last. `begin` sets them going. */
  lap(messages: number, begin: () => Promise<unknown>): Promise<Lap>;
  stop(): Promise<void>;
}

const pollMs = 5;
/** If nothing arrives for that long, a contender has lost a message or hangs. */
const patienceMs = 60_000;

export const sinkProgram = ['/usr/sbin/smtp-sink', '/usr/bin/smtp-sink'].find((file) => existsSync(file)) ?? null;

export async function startSink(): Promise<Sink> {
  if (sinkProgram === null) throw new Error('smtp-sink is missing: install Postfix (Debian: apt-get install postfix)');
  const folder = mkdtempSync(join(tmpdir(), 'postlane-sink-'));
  const counts = join(folder, 'counts');
  const port = await freePort();
  // As root it insists on another user. By default it takes 256 sessions at once; further connections are never served.
  const user = process.getuid?.() === 0 ? '-u postfix ' : '';
  const command = `exec ${sinkProgram} ${user}-c -m 10000 127.0.0.1:${port} 1000 >${counts}`;
  const guarded = await startGuarded(['sh', '-c', command], { folder });
  while (!(await listens(port))) await pause(pollMs);
  const file = openSync(counts, 'r');
  const count = (): number => lastCount(file);
  return {
    port,
    pid: guarded.pid,
    count,
    async lap(messages, begin) {
      const before = count();
      const failed = Promise.withResolvers<never>();
      begin().catch(failed.reject);
      let first: { readonly at: number; readonly count: number } | null = null;
      let seen = { at: performance.now(), count: before };
      while (seen.count < before + messages) {
        await Promise.race([pause(pollMs), failed.promise]);
        const now = { at: performance.now(), count: count() };
        if (now.count > seen.count) seen = now;
        else if (now.at - seen.at > patienceMs) {
          throw new Error(`${seen.count - before} of ${messages} messages came, and then none for ${patienceMs} ms`);
        }
        if (first === null && seen.count > before) first = seen;
      }
      // A lap that is over at the first look has no speed; neither has a lap of one message.
      return first === null ? { messages: 0, ms: 0 } : { messages: seen.count - first.count, ms: seen.at - first.at };
    },
    async stop() {
      closeSync(file);
      await guarded.end();
    },
  };
}

/** smtp-sink writes `sess=1 quit=1 mesg=3\r` after each event. */
function lastCount(file: number): number {
  const { size } = fstatSync(file);
  const length = Math.min(size, 200);
  const tail = Buffer.alloc(length);
  readSync(file, tail, 0, length, size - length);
  const whole = /mesg=(\d+)\r(?!.*mesg=\d+\r)/s.exec(tail.toString('latin1'));
  return Number(whole?.[1] ?? 0);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .once('data', () => {
        socket.destroy();
        resolve(true);
      })
      .once('error', () => resolve(false));
  });
}
