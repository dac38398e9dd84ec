/**
 * The program of a worker process: its only argument is WorkerSettings as JSON, JSON lines on stdout report what happens,
 * and lines on stdin do something to it: `clock MS` moves its wall clock, `block` keeps its event loop until the next line.
 *
 * It ends with its starter, whose end closes its stdin, and drains at SIGTERM, like `postlane worker`.
 */
import { readSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Transport } from '../src/transport/transport.ts';
import { buildWorker, type WorkerSettings } from './worker.ts';

const { worker } = buildWorker(JSON.parse(process.argv[2] ?? '') as WorkerSettings, {
  listeners: [report],
  // Asked each time, as the function itself is replaced when the clock is set.
  now: () => Date.now(),
  wrap: reportingOutcomes,
});

const systemNow = Date.now;
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, value] = line.split(' ');
    report({ event: 'told', command });
    if (command === 'clock') setClock(Number(value));
    else if (command === 'block') block();
  })
  .on('close', () => process.exit(3));

const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
await worker.start();
await stopped;
// The transports are left open: what they still wait for must not delay the end.
process.exit((await worker.stop()) ? 0 : 1);

/** Synchronous: what happened before a SIGKILL has been reported. */
function report(line: object): void {
  writeSync(1, `${JSON.stringify({ at: systemNow(), ...line })}\n`);
}

/** Reports each outcome before the worker can write it to the ledger. */
function reportingOutcomes(transport: Transport): Transport {
  return {
    ...transport,
    async send(mail, context) {
      const outcome = await transport.send(mail, context);
      report({ event: 'outcome', id: mail.id, kind: outcome.kind });
      return outcome;
    },
  };
}

/** Of the whole process, as when a host's clock is set: timers go on, only the time of day jumps. */
function setClock(aheadMs: number): void {
  Date.now = () => systemNow() + aheadMs;
}

/** No timer and no socket of this process is served before the next line comes. */
function block(): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      readSync(0, Buffer.alloc(100));
      break;
    } catch (error) {
      // stdin does not block, so it is asked again and again.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(sleeper, 0, 0, 10);
    }
  }
  report({ event: 'unblocked' });
}
