/**
 * Many connectors, a few messages each, two worker processes: all are served, and none is served much later than the others.
 * `LANES=5000 npm test -- test/system/many-lanes.test.ts` is the same at full size.
 */
import { describe, expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const lanes = Number(process.env['LANES'] ?? 150);
const each = 10;
const timeoutMs = 120_000 + lanes * 300;

describe(`${lanes} connectors with ${each} messages each`, () => {
  test(
    'two processes serve many connectors: every message once, and the slowest lane within twice the time of the median',
    { timeout: timeoutMs },
    async () => {
      const prefix = testPrefix();
      const server = await startTestServer();
      const smtp = `smtp: { host: 127.0.0.1, port: ${server.port}, security: none }`;
      const ids = Array.from({ length: lanes }, (_, i) => `c${i}`);
      const others = ids.map((id) => [id, `{ address: ${id}@example.com, direction: outgoing, ${smtp} }`] as const);
      const at = project(server.config(prefix, Object.fromEntries(others)));
      const producer = testProducer(prefix);
      // Lane after lane, as when many mailboxes have a backlog in the morning.
      for (const id of ids) {
        const messages = Array.from({ length: each }, (_, i) => ({
          from: `${id}@example.com`,
          to: `${id}-${i}@example.net`,
          text: id,
        }));
        expect((await producer.sendMany(messages)).every(({ ok }) => ok)).toBe(true);
      }
      const began = Date.now();
      const workers = await Promise.all([at.worker(), at.worker()]);
      const { transactions } = server.received;
      await until(() => transactions.length >= lanes * each, { what: 'everything to arrive', timeoutMs });
      await Promise.all(workers.map((worker) => worker.end()));
      const recipients = transactions.flatMap(({ to }) => to);
      expect(recipients).toHaveLength(lanes * each);
      expect(new Set(recipients).size).toBe(lanes * each);

      const ends = new Map<string, number>();
      for (const line of workers.flatMap((worker) => worker.of('sent'))) {
        const id = String(line['connector']);
        ends.set(id, Math.max(ends.get(id) ?? 0, Date.parse(line.time) - began));
      }
      const times = [...ends.values()].sort((a, b) => a - b);
      expect(times).toHaveLength(lanes);
      const [median, slowest] = [times[Math.floor(lanes / 2)]!, times.at(-1)!];
      if (process.env['LANES'] !== undefined)
        console.log({ lanes, medianMs: median, slowestMs: slowest, ratio: slowest / median });
      expect(slowest).toBeLessThanOrEqual(2 * median);
    },
  );
});
