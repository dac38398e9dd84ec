/**
 * Workers that are killed (SIGKILL) at random moments of their work, one after the other, while messages keep coming.
 *
 * `RANDOM_KILLS=200 RANDOM_KILLS_SEED=7 vitest run test/fault/random-kills.test.ts` kills that many.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createSeededRandom } from '../../tools/soak/seeded-random.ts';
import { account, allSent, countableMany, settled, sink } from '../support/accounting.ts';
import { examine } from '../support/doctor.ts';
import { endLocks } from '../support/locks.ts';
import { testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const kills = Number(process.env['RANDOM_KILLS'] ?? 8);
const seed = Number(process.env['RANDOM_KILLS_SEED'] ?? 1);
/** Messages that come with each worker. */
const each = 30;

test(
  `${kills} kills at random moments lose nothing, every second copy is marked, and the doctor finds nothing`,
  {
    timeout: 120_000 + kills * 30_000,
  },
  async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { timeoutMs: 30_000 });
    const random = createSeededRandom(seed);
    const servers = [await sink(), await sink()];
    const connectors = Object.fromEntries(
      servers.map(({ port }, i) => [i === 0 ? 'relay' : 'other', { port, addresses: [`${i}@example.com`] }]),
    );
    const options = { prefix, connectors };
    const ids: string[] = [];
    let underWay = 0;
    for (let kill = 0; kill < kills; kill += 1) {
      const worker = await startWorkerProcess(options);
      const messages = countableMany(each, `k${kill}-`).map((message, i) => ({
        ...message,
        from: `${i % 2}@example.com`,
      }));
      ids.push(...messages.map(({ id }) => id!));
      const sending = producer.sendMany(messages);
      // Somewhere in the work of this round: at its start, or after so many messages have come so far.
      const event = random.pick('which event', ['routed', 'outcome', 'sent', 'ready']);
      const count = event === 'ready' ? 1 : random.between('how many', 1, each - 10);
      await until(() => worker.of(event).length >= count, { what: `${count} × ${event}`, timeoutMs: 60_000 });
      await pause(random.between('how late', 0, 20));
      await worker.kill();
      if (worker.of('routed').length > worker.of('sent').length) underWay += 1;
      expect((await sending).filter(({ ok }) => !ok)).toEqual([]);
      await endLocks(testConnection(), prefix);
    }
    const last = await startWorkerProcess(options);
    const { knowinglyTwice, ...figures } = account(await settled(producer, ids), servers);
    expect(figures).toEqual(allSent(ids.length));
    expect(await examine(prefix, ['relay', 'other'])).toEqual([]);
    // Kills between two rounds prove nothing. Which moment it is depends on the machine: more than half of them on average.
    expect(underWay).toBeGreaterThan(kills / 20);
    console.log(
      `${kills} kills, ${underWay} of them with messages under way, seed ${seed}: ${ids.length} messages, none lost, ` +
        `${knowinglyTwice.length} came twice, each marked`,
    );
    expect(await last.stop()).toEqual({ code: 0, signal: null });
  },
);
