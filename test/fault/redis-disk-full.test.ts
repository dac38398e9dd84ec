/** The disk under Redis' append-only file is full: it refuses every write (MISCONF), and takes them again once there is room. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, type TestContext } from 'vitest';
import { account, allOnce, allSent, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { backlogThrough, resultThrough, type RefusingRedis } from '../support/refused-writes.ts';
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
      // In pieces, as Redis writes at the same time, until one finds no room.
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

/** Under `everysec` Redis refuses writes while it cannot write its file; under `always` it ends itself. */
async function refusingRedis(context: TestContext): Promise<RefusingRedis> {
  const disk = smallDisk(context);
  const { url, admin } = await ownRedis({ dir: disk.dir, appendfsync: 'everysec' });
  return {
    url,
    prefix,
    async refuse() {
      disk.fill();
      const refuses = async () => (await admin.set('x', 'y'.repeat(10_000)).catch(String)) !== 'OK';
      await until(refuses, { what: 'Redis to find its disk full' });
    },
    restore: () => disk.makeRoom(),
  };
}

test('a Redis whose disk is full refuses new messages and loses none of those it has; workers go on without help', async (context) => {
  expect(
    await backlogThrough(await refusingRedis(context), {
      count: 400,
      refusal: { code: 'redis-full', message: expect.stringMatching(/cannot write to its disk/) },
    }),
  ).toMatchObject(allSent(421));
});

test('a result that comes while the disk of Redis is full is kept until it can be written: one copy', async (context) => {
  expect(await resultThrough(await refusingRedis(context))).toEqual({ ...allOnce(1), attempts: 1 });
});

test('under appendfsync always a Redis whose disk is full ends itself; restarted with room it has every accepted message', async (context) => {
  const disk = smallDisk(context);
  const redis = await ownRedis({ dir: disk.dir, appendfsync: 'always' });
  const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
  const server = await sink();
  const before = countableMany(100, 'before');
  await sendUntilAccepted(producer, before);
  const connectors = { relay: { port: server.port, concurrency: 4 } };
  // Short, as a job whose worker never got Redis' reply waits for the end of its lock.
  await startWorkerProcess({ prefix, url: redis.url, connectors, timing: { lockMs: 5_000 } });
  await until(() => server.received.transactions.length > 20, { what: 'mail to be under way' });
  disk.fill();
  await until(() => redis.admin.status !== 'ready', { what: 'Redis to end' });
  await expect(producer.send(countable('refused'))).rejects.toMatchObject({ code: 'redis-unavailable' });
  disk.makeRoom();
  await redis.restart();
  const after = [countable('refused'), ...countableMany(20, 'after')];
  await sendUntilAccepted(producer, after);
  const rows = await settled(producer, [...before, ...after]);
  expect(account(rows, [server])).toMatchObject(allSent(121));
});
