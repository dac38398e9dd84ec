/**
 * Redis is lost under load, and a copy of its append-only file, made by deploy/redis-backup.sh while everything ran, is started elsewhere.
 * `RESTORED=2000` does it with so many messages.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { copiesOf, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { root } from '../support/source.ts';
import { startWorkerProcess } from '../support/worker-process.ts';
import { until } from '../../testkit/until.ts';

const prefix = '{restored}';
const count = Number(process.env['RESTORED'] ?? 300);
const script = join(root, 'deploy/redis-backup.sh');
const timeoutMs = 90_000 + 60 * count;
const hourMs = 3_600_000;
const hasClient = spawnSync('redis-cli', ['--version']).status === 0;

test.runIf(hasClient)(
  'a copy made under load and restored elsewhere has every message that was accepted before it; only what it has as unsettled comes twice',
  async () => {
    const redis = await ownRedis();
    const folder = await mkdtemp(join(tmpdir(), 'postlane-backup-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const producer = testProducer(prefix, { url: redis.url });
    const server = await sink();
    const refusing = await sink({ script: { RCPT: ['550 5.1.1 no such user'] } });
    const deferring = await sink({ script: { RCPT: ['451 4.3.0 later', '451 4.3.0 later'] } });
    const connectors = {
      relay: { port: server.port, concurrency: 4 },
      refusing: { port: refusing.port, addresses: ['refusing@example.com'] },
      deferring: { port: deferring.port, addresses: ['deferring@example.com'] },
    };
    const options = {
      prefix,
      connectors,
      timing: { lockMs: 5_000 },
      retry: { firstDelayMs: hourMs, maxDelayMs: hourMs, lifetimeMs: 24 * hourMs },
    };
    const first = await startWorkerProcess({ ...options, url: redis.url });

    const before = countableMany(20, 'before-');
    await producer.sendMany([
      ...before,
      countable('dead', { from: 'refusing@example.com' }),
      countable('deferred', { from: 'deferring@example.com' }),
      countable('cancelled', { sendAt: new Date(Date.now() + hourMs) }),
    ]);
    await settled(producer, [...before, 'dead']);
    await until(async () => (await producer.status('deferred'))?.state === 'deferred', { what: 'the deferral' });
    expect(await producer.cancel('cancelled')).toBe(true);

    const amid = countableMany(count, 'amid-');
    await producer.sendMany(amid);
    await until(() => server.received.transactions.length > 20 + count / 10, { what: 'mail to be under way' });
    // The application goes on while the copy is made.
    const during: ReturnType<typeof countableMany> = [];
    const ended = new AbortController();
    const copied = promisify(execFile)(script, [redis.url, join(folder, 'copy')]).finally(() => ended.abort());
    do {
      const batch = countableMany(10, `during-${during.length}-`);
      await producer.sendMany(batch);
      during.push(...batch);
    } while (!ended.signal.aborted && during.length < count);
    await copied;
    const after = countableMany(20, 'after-');
    await producer.sendMany(after);
    await settled(producer, [...amid, ...during, ...after], timeoutMs);
    const rewrites = await redis.admin.config('GET', 'auto-aof-rewrite-percentage');
    expect(rewrites).toEqual(['auto-aof-rewrite-percentage', '100']);
    await first.kill();
    await redis.kill();

    const copy = await ownRedis({ dir: join(folder, 'copy') });
    const restored = testProducer(prefix, { url: copy.url });
    const states = new Map<string, string | null>();
    for (const { id } of [...before, ...amid, ...during, ...after]) {
      states.set(id!, (await restored.status(id!))?.state ?? null);
    }
    // As operations.md says: the doctor first, then the workers.
    const operator = await testOperator(prefix, copy.url);
    const examination = {
      fix: true,
      now: Date.now,
      senders: Object.keys(connectors),
      lifetimeMs: hourMs,
      retentionMs: hourMs,
    };
    for await (const finding of operator.diagnose(examination)) expect(finding).toMatchObject({ fixed: true });
    await startWorkerProcess({ ...options, url: copy.url });
    // Of what came during the copy it has a part.
    const known = during.filter(({ id }) => states.get(id!) !== null);
    const rows = await settled(restored, [...before, ...amid, ...known], timeoutMs);

    // Nothing that was accepted before the copy is lost.
    expect(rows.filter(({ state }) => state !== 'sent')).toEqual([]);
    const copies = (ids: readonly string[]): number[] => ids.map((id) => copiesOf(id, [server]));
    const settledThen = [...before, ...amid, ...known].map(({ id }) => id!).filter((id) => states.get(id) === 'sent');
    expect(settledThen.length).toBeGreaterThan(20 + count / 20);
    // What the copy knows to be sent is not sent again, and all else at most once more.
    expect(new Set(copies(settledThen))).toEqual(new Set([1]));
    const open = [...amid, ...known].map(({ id }) => id!).filter((id) => states.get(id) !== 'sent');
    expect(copies(open).filter((n) => n < 1 || n > 2)).toEqual([]);
    // What was accepted after the copy, or too late for it, was sent before the loss, and the copy does not know it.
    const unknown = [...after, ...during].map(({ id }) => id!).filter((id) => states.get(id) === null);
    expect(new Set(copies(unknown))).toEqual(new Set([1]));
    expect(new Set(after.map(({ id }) => states.get(id!)))).toEqual(new Set([null]));
    expect(await restored.status('dead')).toMatchObject({ state: 'dead' });
    expect(await restored.status('cancelled')).toMatchObject({ state: 'cancelled' });
    expect(await restored.status('deferred')).toMatchObject({ state: 'deferred', attempts: 1 });
    expect(copiesOf('cancelled', [server])).toBe(0);
    if (process.env['RESTORED'] !== undefined) {
      console.info(
        `${count} messages under way and ${during.length} accepted during the copy, which has ${known.length} of those: ${settledThen.length - 20} settled in the copy, ${open.length} not, of which ${copies(open).filter((n) => n === 2).length} came twice, 0 lost`,
      );
    }
  },
  120_000 + 2 * timeoutMs,
);

test.runIf(hasClient)('a backup is never written over another one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postlane-backup-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { status, stderr } = spawnSync(script, ['redis://127.0.0.1:1', folder], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain('name a new folder');
});
