/** Attempts through Graph whose result is unknown, with the real program and its defaults: one copy, whatever happened. */
import { describe, expect, test } from 'vitest';
import type { FakeGraph } from '../../testkit/graph/fake-graph.ts';
import { faults } from '../../testkit/graph/faults.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import { settled } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { project, type Project } from '../support/cli.ts';
import { settingsFor } from '../support/graph-client.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts';

const message = { id: 'm', from: 'sales@example.com', to: 'a@example.net', bcc: 'b@example.net', text: 'x' };
const quick = { retry: { firstDelay: '50ms', maxDelay: '200ms' } };

/** Copies by recipient, and the numbers of sent items and drafts. */
function seen(graph: FakeGraph) {
  const mailbox = graph.mailbox('sales@example.com');
  return {
    copies: graph.deliveries.map(({ recipient }) => recipient).toSorted(),
    sentItems: mailbox.in('sentitems').length,
    drafts: mailbox.in('drafts').length,
  };
}

const once = { copies: ['a@example.net', 'b@example.net'], sentItems: 1, drafts: 0 };

function programFor(graph: FakeGraph, prefix: string, connector: object): Project {
  return project(graphConfig(graph, { prefix, connector: { ...quick, ...connector } }));
}

describe('Graph accepts and answers 504', () => {
  test('a message that Graph accepts with 504 is found among the sent items by default, and sent once', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    graph.script('sendMail', faults.acceptThen(), faults.acceptThen(), faults.acceptThen(), faults.acceptThen());
    graph.script('listMessages', faults.acceptThen(), faults.throttled(1), faults.reset('after-body'));
    const worker = await programFor(graph, prefix, {}).worker();
    const producer = testProducer(prefix);
    await producer.send(message);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent' });
    expect(seen(graph)).toEqual(once);
    expect(graph.count('sendMail')).toBe(1);
    expect(worker.of('verified').map(({ result }) => result)).toEqual(['unknown', 'unknown', 'unknown', 'sent']);
  });

  test('four messages in a row that Graph accepts with 504 are one copy each', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    graph.script('sendMail', faults.acceptThen(), faults.acceptThen(), faults.acceptThen(), faults.acceptThen());
    await programFor(graph, prefix, {}).worker();
    const producer = testProducer(prefix);
    const ids = ['m0', 'm1', 'm2', 'm3'];
    await producer.sendMany(ids.map((id) => ({ id, from: message.from, to: `${id}@example.net`, text: 'x' })));
    const rows = await settled(producer, ids);
    expect(rows.map(({ state }) => state)).toEqual(['sent', 'sent', 'sent', 'sent']);
    expect(seen(graph)).toEqual({ copies: ids.map((id) => `${id}@example.net`), sentItems: 4, drafts: 0 });
  });

  test('a message that Graph accepts with 504 is held where the connector may not read the mailbox, and the log says why', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    graph.mailbox('sales@example.com').permissions.read = false;
    graph.script('sendMail', faults.acceptThen(), faults.acceptThen(), faults.acceptThen(), faults.acceptThen());
    const worker = await programFor(graph, prefix, { onUncertain: 'verify', onUnverified: 'hold' }).worker();
    const producer = testProducer(prefix);
    await producer.send(message);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'held' });
    expect(seen(graph)).toEqual(once);
    expect(worker.of('verified').map(({ result }) => result)).toEqual(['forbidden']);
    expect(await worker.logged('held')).toMatchObject({ reply: 'the connector may not read the mailbox' });
  });

  test('with onUnverified retry a message that Graph accepts with 504 is sent again, marked as uncertain', async () => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    graph.mailbox('sales@example.com').permissions.read = false;
    graph.script('sendMail', faults.acceptThen());
    await programFor(graph, prefix, { onUnverified: 'retry' }).worker();
    const producer = testProducer(prefix);
    await producer.send(message);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', attempts: 2 });
    expect(row?.history.map(({ event }) => event)).toContain('uncertain');
    expect(seen(graph)).toMatchObject({ sentItems: 2 });
  });
});

describe('a worker is killed', () => {
  const large = { ...message, attachments: [{ filename: 'a.bin', content: Buffer.alloc(7_000_000, 'attachment ') }] };

  test.each([
    ['while it creates the draft', 'createMessage', 'after-work', large],
    ['during an upload', 'uploadRange', 'after-work', large],
    ['before the draft is sent', 'send', 'before-body', large],
    ['after the draft was sent', 'send', 'after-work', large],
    ['after the message was sent', 'sendMail', 'after-work', message],
  ] as const)('a worker killed %s leaves one copy in the end, and no draft', async (_when, operation, at, mail) => {
    const [graph, prefix] = [await fakeGraph(), testPrefix()];
    graph.script(operation, faults.hang(at));
    const first = await startSender(graph, prefix);
    const producer = testProducer(prefix);
    await producer.send(mail);
    await until(() => graph.requests.some(({ fault }) => fault?.startsWith('hang') === true), { what: 'the hang' });
    await first.kill();
    await endLocks(testConnection(), prefix);
    await startSender(graph, prefix);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent' });
    expect(seen(graph)).toEqual(once);
  });

  function startSender(graph: FakeGraph, prefix: string): Promise<WorkerProcess> {
    const settings: GraphSettings = settingsFor(graph);
    // A copy shows at once here, so verification does not have to wait for minutes.
    const timeouts = { ...settings.timeouts, sentItemsMs: 100 };
    return startWorkerProcess({
      prefix,
      connectors: { sales: { graph: { ...settings, timeouts }, concurrency: 4 } },
      retry: { onUncertain: 'verify' },
    });
  }
});
