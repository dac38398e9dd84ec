/** A server that comes back and goes away all the time: its mail is late by no more than the time before its fallback takes over. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, countable, settled, sink } from '../support/accounting.ts';
import { startSender } from '../support/fallback.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { paced } from '../../testkit/until.ts';

/** An hour is 24 s: the server is up for 67 ms, which several rounds of failover see, and away for 400 ms. */
const scale = 1 / 150;
const hourMs = 3_600_000 * scale;
const upMs = 10_000 * scale;
const awayMs = 60_000 * scale;
const afterMs = 60_000 * scale;
const timing = { pauseScale: scale, failoverMs: 10, returnMs: 30_000 * scale };
/** Rounds of failover, turns of the probe, and a busy machine. */
const boundMs = 3_000;

test(
  'a server that is up for 10 s and away for 60 s, for an hour, holds no message up, none is sent twice, and the alarm stays',
  { timeout: 90_000 },
  async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    let away = true;
    // It never goes away in the middle of a body: a message without an answer stays with its own connector, however long that takes.
    const ifAway = () => (away ? 'close' : undefined);
    const own = await sink({ script: { CONNECT: ifAway, MAIL: ifAway } });
    const other = await sink();
    const worker = await startSender(
      prefix,
      {
        primary: { port: own.port, connector: { fallback: { to: ['standby'], afterMs, atOnce: [] } } },
        standby: { port: other.port },
      },
      { timing },
    );
    const ids: string[] = [];
    const flapping = new AbortController();
    onTestFinished(() => flapping.abort());
    const flap = async (): Promise<void> => {
      while (!flapping.signal.aborted) {
        away = false;
        await paced(upMs);
        away = true;
        await paced(awayMs);
      }
    };
    const flaps = flap();
    const began = performance.now();
    while (performance.now() - began < hourMs) {
      const id = `m${ids.length}`;
      await producer.send(countable(id));
      ids.push(id);
      await paced(20);
    }
    const rows = await settled(producer, ids);
    flapping.abort();
    await flaps;
    expect(account(rows, [own, other])).toEqual(allOnce(ids.length));
    const lateness = rows.map(({ acceptedAt, history }) => (history.at(-1)?.at ?? Infinity) - (acceptedAt ?? 0));
    expect(Math.max(...lateness)).toBeLessThan(afterMs + boundMs);
    expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['primary', 'standby']));
    // Between its turns the failover goes on, and each fault is told as without one.
    expect(worker.of('fallback-began').length).toBeGreaterThan(0);
    expect(worker.of('connector-fault').length).toBeGreaterThan(worker.of('fallback-began').length);
  },
);
