/** Redis is out of memory under `noeviction`: it refuses every write, and takes them again once it has room. */
import { describe, expect, test } from 'vitest';
import { balance, countable, countableMany, settled, sink } from '../support/books.ts';
import { sendUntilAccepted, ownRedis, type OwnRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const prefix = '{full}';

async function fill({ admin }: OwnRedis): Promise<void> {
  // Less than an empty Redis needs: from here on every write that may grow is refused.
  await admin.config('SET', 'maxmemory', '1000');
  await expect(admin.set('more', 'x')).rejects.toThrow(/^OOM/);
}

const makeRoom = ({ admin }: OwnRedis) => admin.config('SET', 'maxmemory', '0');

describe('a Redis that is full', () => {
  test('refuses new messages with a typed error, and loses none of those it has; workers go on by themselves', async () => {
    const redis = await ownRedis();
    const producer = testProducer(prefix, { url: redis.url });
    const server = await sink();
    const connectors = { relay: { port: server.port, concurrency: 4 } };
    const before = countableMany(600, 'before');
    await sendUntilAccepted(producer, before);
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors });
    const routed = () => worker.events.filter(({ event }) => event === 'routed').length;
    await until(() => routed() > 100, { what: 'the intake to be under way' });
    await fill(redis);
    await expect(producer.send(countable('refused'))).rejects.toMatchObject({
      code: 'redis-refused',
      id: 'refused',
    });
    await worker.waitFor('error');
    const refused = (where: string) =>
      worker.events.filter((each) => each.event === 'error' && each['where'] === where);
    const rounds = refused('maintenance').length;
    // Four rounds are a second.
    await until(() => refused('maintenance').length > rounds + 4, { what: 'it to go on trying' });
    // The fifty that were under way, and a fetch a second: not as often as Redis can say no.
    expect(refused('intake').length).toBeLessThan(150);
    await makeRoom(redis);
    const after = [countable('refused'), ...countableMany(20, 'after')];
    await sendUntilAccepted(producer, after);
    const rows = await settled(
      producer,
      [...before, ...after].map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 621 } });
  });

  test('amid a send: the result is kept until it can be written, one copy', async () => {
    const redis = await ownRedis();
    const producer = testProducer(prefix, { url: redis.url });
    const { server, asked, speak } = await quietServer('.');
    const connectors = { relay: { port: server.port } };
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors, timing: { lateResultMs: 20_000 } });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    await fill(redis);
    speak();
    await worker.waitFor('outcome', 'm');
    // Refused at least once.
    await worker.waitFor('error', 'm');
    await makeRoom(redis);
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });
});
