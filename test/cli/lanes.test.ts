/** The command line for an operator: connectors, pause, resume, and the dead letters. */
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { project, type Project } from '../support/cli.ts';
import { startTestServer, type TestServer } from '../support/cli-config.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

function send(here: Project, id: string, ...more: string[]): Promise<unknown> {
  const about = ['--from', 'me@example.com', '--to', `${id}@example.net`, '--subject', `about ${id}`, '--text', 'x'];
  return here.call(['send', ...about, '--id', id, ...more]);
}

interface Row {
  readonly waiting: number;
  readonly id: string;
  readonly oldestWaitingMs: number;
  readonly breaker: { readonly untilMs: number; readonly reply: string };
}

const rowOf = async (here: Project, id: string): Promise<Row | undefined> =>
  ((await here.callJson(['connectors'])).values as unknown as Row[]).find((row) => row.id === id);

const archive = '{ direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }';

describe('connectors, pause, resume', () => {
  test('connectors lists direction, transport, limits and counts of each, one per row', async () => {
    const server = await startTestServer();
    const here = project(server.config(testPrefix(), { archive }));
    await here.worker();
    await send(here, 'one', '--wait');
    const { code, stderr, values } = await here.callJson(['connectors']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const nothing = { waiting: 0, active: 0, delayed: 0, paused: false, suspect: null, oldestWaitingMs: null };
    const breaker = { state: 'closed', fault: null, faults: 0, untilMs: null, reply: null };
    expect(values).toMatchObject([
      {
        ...nothing,
        id: 'relay',
        direction: 'outgoing',
        transport: 'smtp',
        sent: 1,
        breaker,
        waitingFor: 'work',
        untilMs: null,
        concurrency: 5,
        learnedMessagesPerMinute: null,
        used: { recipientsPerDay: null, bytesPerWindow: null },
        limits: {
          preset: null,
          concurrency: 5,
          messagesPerMinute: null,
          recipientsPerDay: null,
          bytesPerWindow: null,
          maxBytes: null,
          recipientsPerMessage: null,
          messagesPerSession: null,
        },
      },
      { id: 'archive', direction: 'incoming', transport: null, sent: 0, ...nothing },
    ]);
    expect((await here.call(['connectors'])).stdout).toMatch(/CONNECTOR .*\nrelay +outgoing +smtp .* ok\n/);
  });

  test('pause holds waiting messages, and resume releases them', async () => {
    const server = await startTestServer();
    const here = project(server.config(testPrefix()));
    const worker = await here.worker();
    expect(await here.callJson(['pause', 'relay'])).toMatchObject({ code: 0, values: [{ id: 'relay', paused: true }] });
    await send(here, 'one');
    await worker.logged('routed');
    const row = await rowOf(here, 'relay');
    expect(row).toMatchObject({ waiting: 1, paused: true });
    expect(row?.oldestWaitingMs).toBeGreaterThan(0);
    expect(server.received.transactions).toEqual([]);
    expect(await here.callJson(['resume', 'relay'])).toMatchObject({
      code: 0,
      values: [{ id: 'relay', paused: false }],
    });
    await worker.logged('sent');
    expect(await rowOf(here, 'relay')).toMatchObject({ waiting: 0, paused: false, sent: 1 });
  });

  test('connectors shows the fault of one that cannot send; resume retries at once', async () => {
    const server = await startTestServer({ script: { CONNECT: ['421 4.3.2 maintenance'] } });
    const here = project(server.config(testPrefix()));
    const worker = await here.worker();
    await send(here, 'one');
    await worker.logged('connector-fault');
    // The lane pauses first, and then the message goes back into it.
    await until(async () => (await rowOf(here, 'relay'))?.waiting === 1, { what: 'the message in its lane' });
    const row = await rowOf(here, 'relay');
    expect(row).toMatchObject({ breaker: { state: 'open', faults: 1 } });
    expect(row?.breaker.untilMs).toBeGreaterThan(0);
    expect(row?.breaker.reply).toContain('maintenance');
    await here.call(['resume', 'relay']);
    await worker.logged('sent');
    expect(await rowOf(here, 'relay')).toMatchObject({ breaker: { state: 'closed', fault: null } });
  });

  test('connectors shows what is set aside, with the reply and since when, until resume returns it', async () => {
    let refuses = true;
    const server = await startTestServer({ script: { RCPT: () => (refuses ? '550 Verboten' : undefined) } });
    const here = project(server.config(testPrefix()));
    const worker = await here.worker();
    await send(here, 'one');
    await worker.logged('set-aside');
    const since = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string;
    expect(await rowOf(here, 'relay')).toMatchObject({ suspect: { reply: '550 Verboten', setAside: 1, since } });
    expect((await here.call(['connectors'])).stdout).toContain('1 set aside: 550 Verboten');
    refuses = false;
    await here.call(['resume', 'relay']);
    await worker.logged('sent');
    expect(await rowOf(here, 'relay')).toMatchObject({ suspect: null });
  });

  test('connectors shows what a lane waits for, until when, and how much of its limits is used', async () => {
    const server = await startTestServer();
    const smtp = `smtp: { host: 127.0.0.1, port: ${server.port}, security: none }`;
    const limited = (address: string, limits: string): string =>
      `{ address: ${address}, direction: outgoing, ${smtp}, limits: { ${limits} } }`;
    const others = {
      daily: limited('daily@example.com', 'recipientsPerDay: 1'),
      bulky: limited('bulky@example.com', 'bytes: 1MB/1h, recipientsPerDay: 50'),
      paced: limited('paced@example.com', 'messagesPerMinute: 1'),
    };
    const here = project(server.config(testPrefix(), others));
    const worker = await here.worker();
    const from = async (address: string, size: number): Promise<void> => {
      await here.call(['send', '--from', address, '--to', 'a@example.net', '--text', 'x'.repeat(size)]);
    };
    for (const address of ['daily@example.com', 'paced@example.com']) {
      await from(address, 10);
      await from(address, 10);
    }
    await from('bulky@example.com', 100_000);
    await worker.logged('sent', 3);
    await worker.logged('quota-full');
    const rows = (await here.callJson(['connectors'])).values;
    const row = (id: string): unknown => rows.find((each) => each['id'] === id);
    const duration = expect.any(Number) as number;
    expect(row('relay')).toMatchObject({ waitingFor: 'work', untilMs: null });
    expect(row('daily')).toMatchObject({
      waitingFor: 'recipients-per-day',
      untilMs: duration,
      used: { recipientsPerDay: 1 },
    });
    expect(row('paced')).toMatchObject({ waitingFor: 'rate', untilMs: duration, concurrency: 5 });
    expect(row('bulky')).toMatchObject({ waitingFor: 'work', used: { recipientsPerDay: 1, bytesPerWindow: duration } });
    const { stdout } = await here.call(['connectors']);
    expect(stdout).toMatch(/daily .* 1 of 1 recipients\/day +daily recipient limit reached, continues in 24\.\d h\n/);
    expect(stdout).toMatch(/bulky .* 5 at once, 1 of 50 recipients\/day, 0\.1 of 1\.0 MB\/60 min +ok\n/);
    expect(stdout).toMatch(/paced .* 1\/min +paced, continues in \d+ s\n/);
  });

  test('connectors and explain show the group of a connector, what all of it has used, and that it waits for it', async () => {
    const server = await startTestServer();
    const limited = (address: string): string =>
      `{ direction: outgoing, address: ${address}, smtp: { host: 127.0.0.1, port: ${server.port}, security: none }, limits: { group: tenant } }`;
    const connectors = { sales: limited('sales@example.com'), shop: limited('shop@example.com') };
    const here = project(server.config(testPrefix(), connectors, ['limitGroups: { tenant: { recipientsPerDay: 1 } }']));
    await here.worker();
    const message = (from: string): string[] => ['send', '--from', from, '--to', 'a@example.net', '--text', 'x'];
    await here.call([...message('sales@example.com'), '--wait']);
    await here.call(message('shop@example.com'));
    const shop = async () => (await here.callJson(['connectors'])).values.find(({ id }) => id === 'shop');
    const row = await until(async () => (await shop())?.['waitingFor'] === 'group' && shop(), {
      what: 'shop to wait for its group',
    });
    expect(row).toMatchObject({
      waiting: 1,
      limits: { group: { id: 'tenant', recipientsPerDay: 1 } },
      used: { recipientsPerDay: null, group: { id: 'tenant', recipientsPerDay: 1 } },
    });
    const { stdout } = await here.call(['connectors']);
    expect(stdout).toContain('group tenant: 1 of 1 recipients/day');
    expect(stdout).toContain('limit of the group tenant reached, continues in');
    const explained = await here.callJson(['explain', 'shop@example.com']);
    expect(explained.values[0]).toMatchObject({
      connector: 'shop',
      limits: { concurrency: 5, group: { id: 'tenant' } },
    });
    expect((await here.call(['explain', 'shop@example.com'])).stdout).toContain(
      'limits: 5 at once; with all of the group tenant: 1 recipients/day',
    );
  });

  test('connectors shows a lane without a connector for as long as it has messages', async () => {
    const [server, old] = [await startTestServer(), await startTestServer()];
    const prefix = testPrefix();
    const oldConnector = `{ address: me@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${old.port}, security: none } }`;
    const here = project(server.config(prefix, { old: oldConnector }));
    const worker = await here.worker();
    await here.call(['pause', 'old']);
    await send(here, 'one');
    await worker.logged('routed');
    await worker.end();
    here.write('postlane.yaml', server.config(prefix));
    expect(await rowOf(here, 'old')).toMatchObject({ direction: null, transport: null, limits: null, waiting: 1 });
  });
});

describe('dead letters', () => {
  /** Three dead letters: two refused by relay, one that was no message. */
  async function setUp(): Promise<{ here: Project; server: TestServer; accept: () => void }> {
    const state = { refuse: true };
    const server = await startTestServer({
      script: { RCPT: () => (state.refuse ? '550 5.1.1 nobody here' : undefined) },
    });
    const prefix = testPrefix();
    const other = `{ address: o@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`;
    const here = project(server.config(prefix, { other, archive }));
    const worker = await here.worker();
    await send(here, 'one');
    await worker.logged('dead', 1);
    await send(here, 'two');
    const connection = testConnection();
    const queue = new Queue('outbound', { connection, prefix });
    onTestFinished(() => queue.close());
    await queue.add('message', { v: 1, message: { subject: 'no recipients\u001b[2J' } }, { jobId: 'bad' });
    await worker.logged('dead', 3);
    return { here, server, accept: () => (state.refuse = false) };
  }

  test('list, show, replay and drop, by id and by filter', async () => {
    const { here, server, accept } = await setUp();

    const { values } = await here.callJson(['dead', 'list']);
    expect(values.map(({ id }) => id)).toEqual(expect.arrayContaining(['one', 'two', 'bad']));
    expect(values.find(({ id }) => id === 'one')).toMatchObject({
      reason: 'rejected',
      connector: 'relay',
      recipients: [{ address: 'one@example.net', code: '550' }],
      reply: expect.stringContaining('nobody here') as string,
    });
    for (const { at } of values) expect(new Date(String(at)).toISOString()).toBe(at);

    const ids = async (...filter: string[]): Promise<unknown[]> =>
      (await here.callJson(['dead', 'list', ...filter])).values.map(({ id }) => id);
    expect(await ids('--reason', 'invalid-message')).toEqual(['bad']);
    expect(await ids('--connector', 'relay', '--since', '1h')).toEqual(['one', 'two']);
    expect(await ids('--until', '1h')).toEqual([]);
    expect(await ids('--limit', '1')).toHaveLength(1);

    const shown = await here.callJson(['dead', 'show', 'one']);
    expect(shown.values[0]).toMatchObject({ id: 'one', data: { v: 1, message: { subject: 'about one' } } });
    // oxlint-disable-next-line no-control-regex -- an escape sequence out of a message is what this looks for
    expect((await here.call(['dead', 'show', 'bad'])).stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(await here.callJson(['dead', 'show', 'one', 'nobody'])).toMatchObject({ code: 1, values: [{ id: 'one' }] });

    const counted = await here.callJson(['dead', 'replay', '--reason', 'rejected', '--dry-run']);
    expect(counted.values).toEqual([{ dryRun: true, count: 2, byReason: { rejected: 2 }, byConnector: { relay: 2 } }]);
    expect(await ids()).toHaveLength(3);

    accept();
    const replayed = await here.callJson(['dead', 'replay', '--reason', 'rejected', '--rate', '100/s']);
    expect(replayed).toMatchObject({ code: 0, stderr: '' });
    expect(replayed.values).toEqual([
      { id: 'one', result: 'replayed' },
      { id: 'two', result: 'replayed' },
    ]);
    await until(() => server.received.transactions.length === 2, { what: 'the replayed messages' });
    expect(await here.callJson(['dead', 'replay', 'one'])).toMatchObject({ code: 1 });
    await until(async () => (await here.callJson(['status', 'one'])).values[0]?.['state'] === 'sent', { what: 'sent' });
    expect(server.received.transactions).toHaveLength(2);

    expect(await here.callJson(['dead', 'drop', '--reason', 'invalid-message'])).toMatchObject({ code: 2 });
    expect(await here.callJson(['dead', 'drop', '--reason', 'invalid-message', '--yes'])).toMatchObject({
      code: 0,
      values: [{ id: 'bad', result: 'dropped' }],
    });
    expect(await here.callJson(['dead', 'drop', 'bad'])).toMatchObject({ code: 1, values: [{ result: 'not-found' }] });
    expect((await here.call(['dead', 'list'])).stdout).toBe('No dead letters.\n');
  });

  test('--via replays through another connector; --rate spaces the messages', async () => {
    const { here, accept } = await setUp();
    accept();
    const startedAt = performance.now();
    await here.callJson(['dead', 'replay', 'one', 'two', '--via', 'other', '--rate', '2/s']);
    expect(performance.now() - startedAt).toBeGreaterThan(500);
    const wait = { what: 'the replayed message' };
    await until(async () => (await here.callJson(['status', 'two'])).values[0]?.['state'] === 'sent', wait);
    expect((await here.callJson(['status', 'two'])).values[0]).toMatchObject({ connector: 'other', state: 'sent' });
  });

  test('a test message through a chosen connector is in the audit, with who sent it', async () => {
    const here = project((await startTestServer()).config(testPrefix()));
    const { values } = await here.callJson(['send', '--to', 'a@example.net', '--text', 'x', '--via', 'relay']);
    await here.callJson(['send', '--to', 'a@example.net', '--text', 'x']);
    const entries = (await here.callJson(['audit', '--action', 'send-via'])).values;
    expect(entries).toMatchObject([
      { target: 'relay', result: 'done', through: 'cli', detail: `message ${String(values[0]?.['id'])}` },
    ]);
  });

  test('replay leaves a held message as it is; resolve settles it', async () => {
    const server = await startTestServer({ script: { '.': ['reset', 'reset'] } });
    const config = server.config(testPrefix()).replace('smtp:', 'onUncertain: hold, smtp:');
    const here = project(config);
    const worker = await here.worker();
    await send(here, 'arrived');
    await worker.logged('held', 1);
    await send(here, 'lost');
    await worker.logged('held', 2);
    expect(await here.callJson(['dead', 'replay', 'lost'])).toMatchObject({ code: 1, values: [{ result: 'held' }] });
    expect(await here.callJson(['dead', 'replay', '--all'])).toMatchObject({
      code: 0,
      values: [{ result: 'held' }, { result: 'held' }],
    });
    expect(await here.callJson(['dead', 'resolve', 'arrived', '--as', 'sent'])).toMatchObject({ code: 0 });
    expect((await here.callJson(['status', 'arrived'])).values[0]).toMatchObject({ state: 'sent' });
    expect(await here.callJson(['dead', 'resolve', 'lost', '--as', 'retry'])).toMatchObject({ code: 0 });
    await worker.logged('sent');
    expect(server.received.transactions.filter(({ accepted }) => accepted)).toHaveLength(1);
    expect(await here.callJson(['dead', 'resolve', 'lost', '--as', 'drop'])).toMatchObject({ code: 1 });
    expect((await here.callJson(['dead', 'list'])).values).toEqual([]);
  });

  test('REDIS_URL overrides the Redis of the file', async () => {
    const server = await startTestServer();
    const here = project(server.config(testPrefix()).replace('redis: {', 'redis: { url: "redis://127.0.0.1:1",'));
    expect(await here.callJson(['dead', 'list'], { env: { REDIS_URL: redisUrl() } })).toMatchObject({
      code: 0,
      values: [],
    });
  });
});
