/** The disk under Redis' append-only file is full: it refuses every write (MISCONF), and takes them again once there is room. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, type TestContext } from 'vitest';
import { balance, countable, countableMany, settled, sink } from '../support/books.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

interface SmallDisk {
  readonly dir: string;
  fill(): void;
  makeRoom(): void;
}

/** A file system of 16 MB in memory; skips the test where this user may not mount one. */
function smallDisk({ skip }: Pick<TestContext, 'skip'>): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), 'postlane-disk-'));
  const mounted = spawnSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', dir]).status === 0;
  onTestFinished(() => {
    if (mounted) spawnSync('/usr/bin/umount', ['-l', dir]);
    rmSync(dir, { recursive: true, force: true });
  });
  if (!mounted) skip('this user may not mount a file system');
  const ballast = join(dir, 'ballast');
  return {
    dir,
    fill() {
      // In pieces, as Redis writes at the same time: the last one finds no room.
      try {
        for (;;) appendFileSync(ballast, Buffer.alloc(4_096));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    },
    makeRoom: () => unlinkSync(ballast),
  };
}

const prefix = '{disk}';
describe('a Redis whose disk is full', () => {
  test('refuses to accept, loses nothing of what it has; workers go on by themselves', async (context) => {
    const disk = smallDisk(context);
    // Under `always` Redis ends itself when it cannot write; under `everysec` it refuses.
    const redis = await ownRedis({ dir: disk.dir, appendfsync: 'everysec' });
    const producer = testProducer(prefix, { url: redis.url });
    const server = await sink();
    const connectors = { relay: { port: server.port, concurrency: 4 } };
    const before = countableMany(400, 'before');
    await sendUntilAccepted(producer, before);
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors });
    await until(() => server.received.transactions.length > 50, { what: 'mail to be under way' });
    disk.fill();
    await worker.waitFor('error');
    await expect(producer.send(countable('refused'))).rejects.toMatchObject({
      code: 'redis-refused',
      id: 'refused',
    });
    disk.makeRoom();
    const after = [countable('refused'), ...countableMany(20, 'after')];
    await sendUntilAccepted(producer, after);
    const rows = await settled(
      producer,
      [...before, ...after].map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 421 } });
  });

  test('amid a send: the result is kept until it can be written, one copy', async (context) => {
    const disk = smallDisk(context);
    const redis = await ownRedis({ dir: disk.dir, appendfsync: 'everysec' });
    const producer = testProducer(prefix, { url: redis.url });
    const { server, asked, speak } = await quietServer('.');
    const connectors = { relay: { port: server.port } };
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors, timing: { lateResultMs: 20_000 } });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    disk.fill();
    const refuses = async () => (await redis.admin.set('x', 'y'.repeat(10_000)).catch(String)) !== 'OK';
    await until(refuses, { what: 'Redis to find its disk full' });
    speak();
    await worker.waitFor('outcome', 'm');
    await worker.waitFor('error', 'm');
    disk.makeRoom();
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });

  test('under appendfsync always ends itself; restarted with room it has all that it accepted', async (context) => {
    const disk = smallDisk(context);
    const redis = await ownRedis({ dir: disk.dir, appendfsync: 'always' });
    const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
    const server = await sink();
    const before = countableMany(100, 'before');
    await sendUntilAccepted(producer, before);
    await startWorkerProcess({ prefix, url: redis.url, connectors: { relay: { port: server.port, concurrency: 4 } } });
    await until(() => server.received.transactions.length > 20, { what: 'mail to be under way' });
    disk.fill();
    await until(() => redis.admin.status !== 'ready', { what: 'Redis to end' });
    await expect(producer.send(countable('refused'))).rejects.toMatchObject({ code: 'redis-unavailable' });
    disk.makeRoom();
    await redis.restart();
    const after = [countable('refused'), ...countableMany(20, 'after')];
    await sendUntilAccepted(producer, after);
    const rows = await settled(
      producer,
      [...before, ...after].map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 121 } });
  });
});
