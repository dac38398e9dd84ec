/** The steps of `postlane rekey`, one by one: it dies before Redis has the step, or after it, and is started again; and keys that are rotated by it under load. */
import { onTestFinished, describe, expect, test } from 'vitest';
import { bodiesScript, replaceBodyScript } from '../../src/queue/stored-bodies.ts';
import { stageScript, swapScript } from '../../src/queue/ledger/content-rekey.ts';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import type { Operator } from '../../src/admin/operator.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import { account, countableMany, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import {
  both,
  bothFirst,
  everywhere,
  filled,
  first,
  rekeyAs,
  rekeyConfig,
  sealedWith,
  second,
} from '../support/rekeying.ts';
import { startProcess, startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts';
import { project } from '../support/cli.ts';

const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

const scripts = {
  'the search for bodies': bodiesScript,
  'the replacement of a body': replaceBodyScript,
  'the writing of a content beside the one in use': stageScript,
  'the exchange of a content': swapScript,
} as const;
type Step = keyof typeof scripts;
const places = Object.keys(scripts).flatMap((step) =>
  (['before', 'after'] as const).map((where) => [step as Step, where] as const),
);

/** `postlane rekey` as a process of its own. */
function startRekey(prefix: string, url: string, encryption = both) {
  const here = project(
    [
      `redis: { url: "${url}", prefix: "${prefix}", shards: ${shardCount()} }`,
      'hostname: mail.example.com',
      'systemDefaultGateway: relay',
      `encryption: ${JSON.stringify(encryption)}`,
      'connectors:',
      '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }',
      '',
    ].join('\n'),
  );
  return startProcess([program, '--config', join(here.folder, 'postlane.yaml'), 'rekey', '--json']);
}

/** What is shown of each message. */
function subjects(operator: Operator): Promise<unknown[]> {
  return Promise.all(ids.map(async (id) => (await operator.content(id))?.subject));
}

const ids = [...Object.keys(everywhere), 'scheduled', 'new'];

// The steps of several shards are the same, in other orders.
describe.skipIf(shardCount() > 1)('a rekeying that is killed', () => {
  test.for(places)(
    'at %s, %s Redis has it, and is started again: nothing is lost or sent twice, and nothing stays under the old key',
    { timeout: 120_000 },
    async ([step, where]) => {
      const prefix = testPrefix();
      const before = await filled(prefix, first);
      const redis = testConnection();
      for (const { lua } of Object.values(scripts)) await redis.script('LOAD', lua);
      const proxy = await startStepProxy(Number(new URL(redisUrl()).port), scripts[step].sha, where);
      onTestFinished(() => proxy.stop());
      proxy.arm();
      const rekeying = startRekey(prefix, `redis://127.0.0.1:${proxy.port}`);
      await until(proxy.reached, { what: step });
      await rekeying.kill();
      // What is half done is whole for all who have both keys.
      const operator = await testOperator(prefix, undefined, undefined, { encryption: both });
      expect(await subjects(operator)).toEqual(ids.map((id) => `Subject of ${id}`));
      const again = startRekey(prefix, redisUrl());
      expect({ ...(await again.exited), output: again.output() }).toMatchObject({ code: 0, signal: null });
      // Of what the first one built, nothing stays for ever.
      const staged = (await sealedWith(prefix, both)).filter((key) => key.includes(':staged:'));
      const ends = await Promise.all(staged.map((key) => redis.pttl(`${prefix}:${key}`)));
      expect(ends.filter((end) => end <= 0)).toEqual([]);
      expect(await sealedWith(prefix, first)).toEqual([]);
      const { recorded } = await startWorker({ prefix, config: rekeyConfig(second), name: 'w2' });
      await operator.lanes.resume('paused');
      await operator.replay('refused', { via: null, now: Date.now(), lifetimeMs: 3_600_000 });
      const producer = testProducer(prefix, { encryption: second });
      await settled(producer, ['sent', 'paused', 'new']);
      await until(async () => (await producer.status('refused'))?.state === 'sent', { what: 'the replayed one' });
      const mails = ['relay', 'paused', 'refusing'].flatMap((connector) => recorded(connector).mails);
      expect(mails.map(({ id }) => id).toSorted()).toEqual(['new', 'paused', 'refused']);
      expect(before.recorded('relay').mails.map(({ id }) => id)).toEqual(['sent']);
    },
  );
});

test(
  'keys that are rotated by it under load lose nothing, send nothing twice, and leave nothing under the old one',
  { timeout: 240_000 },
  async () => {
    const prefix = testPrefix();
    const server = await sink();
    const options = { prefix, connectors: { relay: { port: server.port } }, timing: { keyWaitMs: 300 } };
    const sent: string[] = [];
    const load = (encryption: typeof both, name: string): { readonly end: () => Promise<void> } => {
      const producer = testProducer(prefix, { encryption });
      const ending = new AbortController();
      let count = 0;
      const running = (async () => {
        for (; !ending.signal.aborted; count += 1) {
          const attachments =
            count % 5 === 0 ? [{ filename: 'f.bin', content: Buffer.alloc(80_000, `${name}${count % 15}`) }] : [];
          const batch = countableMany(5, `${name}${count}-`).map((message) => ({ ...message, attachments }));
          for (const result of await producer.sendMany(batch)) expect(result).toMatchObject({ ok: true });
          sent.push(...batch.map(({ id }) => id!));
          const isNear = (): boolean => server.received.transactions.length > sent.length - 100;
          await until(isNear, { what: 'the worker to keep up', timeoutMs: 60_000 });
        }
      })();
      return {
        async end() {
          ending.abort();
          await running;
        },
      };
    };
    const starting = (encryption: typeof both): Promise<WorkerProcess> =>
      startWorkerProcess({ ...options, encryption });
    const some = (worker: WorkerProcess): Promise<unknown> =>
      until(() => worker.of('sent').length >= 20, { what: 'mails to be sent', timeoutMs: 60_000 });
    // As docs/encryption.md says: added everywhere, made active, all sealed anew, the old one removed.
    let worker = await starting(first);
    const before = load(first, 'a');
    await some(worker);
    await worker.stop();
    worker = await starting(bothFirst);
    const between = load(bothFirst, 'b');
    await before.end();
    await some(worker);
    await worker.stop();
    worker = await starting(both);
    const after = load(both, 'c');
    await between.end();
    const rekeying = startRekey(prefix, redisUrl());
    await some(worker);
    await worker.kill();
    await endLocks(testConnection(), prefix);
    worker = await starting(both);
    expect({ ...(await rekeying.exited), output: rekeying.output() }).toMatchObject({ code: 0, signal: null });
    expect((await rekeyAs(prefix, both)).left).toEqual([]);
    await after.end();
    const last = load(second, 'd');
    await worker.stop();
    worker = await starting(second);
    await some(worker);
    await last.end();
    const rows = await settled(testProducer(prefix, { encryption: second }), sent);
    const { lost, blindlyTwice, states } = account(rows, [server]);
    expect({ lost, blindlyTwice, states }).toEqual({ lost: [], blindlyTwice: [], states: { sent: sent.length } });
    expect(worker.of('key-missing')).toEqual([]);
  },
);
