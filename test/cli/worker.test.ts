/** `worker` as a process: start, drain, reload, health, its log, and what it does while Redis is away. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { project, type Project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const message = (id: string, from = 'me@example.com'): string[] =>
  `send --from ${from} --to you@example.net --subject x --text x --id ${id}`.split(' ');

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function stateOf(here: Project, id: string): Promise<unknown> {
  return (await here.callJson(['status', id])).values[0]?.['state'];
}

test('logs ready first and stopped last, and exits with 0 on SIGTERM and on SIGINT', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const worker = await here.worker();
    expect(await worker.end(signal)).toBe(0);
    const events = worker.lines().map(({ event }) => event);
    expect(events.indexOf('ready')).toBeGreaterThan(events.indexOf('starting'));
    expect(worker.lines().at(-1)).toMatchObject({ event: 'stopped', drained: true, level: 'info' });
  }
});

test('on SIGTERM finishes the running send, returns the other messages, and exits with 0', async () => {
  const [arrived, letGo] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
  const answer = (): Promise<string> => {
    arrived.resolve();
    return letGo.promise;
  };
  const server = await startTestServer({ script: { '.': answer } });
  const prefix = testPrefix();
  const limits = server.config(prefix).replace('security: none }', 'security: none }, limits: { concurrency: 1 }');
  const here = project(limits);
  const worker = await here.worker();
  await here.call(message('running'));
  await arrived.promise;
  await here.call(message('waiting'));
  worker.child.kill('SIGTERM');
  await worker.logged('draining');
  letGo.resolve('250 ok');
  expect(await worker.ended()).toBe(0);
  expect(await stateOf(here, 'running')).toBe('sent');
  expect(await stateOf(here, 'waiting')).toBe('queued');
  expect(server.received.transactions).toHaveLength(1);
});

test('a second signal ends it at once, with exit code 1', async () => {
  const server = await startTestServer({ script: { '.': 'hang' } });
  const here = project(server.config(testPrefix()));
  const worker = await here.worker();
  await here.call(message('stuck'));
  await until(() => server.received.transactions.length === 1, { what: 'the message at the server' });
  worker.child.kill('SIGTERM');
  await worker.logged('draining');
  expect(await worker.end('SIGINT')).toBe(1);
});

test('a send that does not end within the drain time is aborted, and its message is kept', async () => {
  const server = await startTestServer({ script: { '.': 'hang' } });
  const here = project(server.config(testPrefix(), {}, ['worker: { drain: 200ms }']));
  const worker = await here.worker();
  await here.call(message('stuck'));
  await until(() => server.received.transactions.length === 1, { what: 'the message at the server' });
  await worker.end();
  expect(worker.lines().at(-1)).toMatchObject({ event: 'stopped' });
  // The whole body was sent, so the result is unknown: the next worker goes on from here.
  const { values } = await here.callJson(['status', 'stuck']);
  expect(values[0]).toMatchObject({ state: 'deferred', recipients: [{ outcome: 'uncertain' }] });
});

test('SIGHUP adds a new connector, keeps the old configuration if the file is invalid, and logs an unchanged one', async () => {
  const [relay, sales] = [await startTestServer(), await startTestServer()];
  const prefix = testPrefix();
  const here = project(relay.config(prefix));
  const worker = await here.worker();
  worker.child.kill('SIGHUP');
  await worker.logged('config-unchanged');

  const added = `{ address: sales@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${sales.port}, security: none } }`;
  here.write('postlane.yaml', relay.config(prefix, { sales: added }));
  worker.child.kill('SIGHUP');
  await worker.logged('config-applied');
  expect(await here.callJson([...message('by-sales', 'sales@example.com'), '--wait'])).toMatchObject({ code: 0 });
  expect(sales.received.transactions).toHaveLength(1);

  here.write('postlane.yaml', relay.config(prefix, { sales: '{ direction: sideways, smtp: { host: a b } }' }));
  worker.child.kill('SIGHUP');
  const { mistakes } = await worker.logged('config-rejected');
  const keys = (mistakes as { key: string; line: number }[]).map(({ key }) => key);
  expect(keys).toEqual(expect.arrayContaining(['connectors.sales.direction', 'connectors.sales.smtp.host']));

  here.write('good.yaml', relay.config(prefix, { sales: added }));
  const args = [...message('still-sales', 'sales@example.com'), '--wait', '--config', 'good.yaml'];
  expect(await here.callJson(args)).toMatchObject({ code: 0 });
  expect(sales.received.transactions).toHaveLength(2);
});

test('a changed file is read without a signal, and a connector moves to its new server', async () => {
  const [before, after] = [await startTestServer(), await startTestServer()];
  const prefix = testPrefix();
  const here = project(before.config(prefix));
  const worker = await here.worker();
  await here.call([...message('one'), '--wait']);
  here.write('postlane.yaml', after.config(prefix));
  await worker.logged('config-applied');
  await here.call([...message('two'), '--wait']);
  expect([before.received.transactions.length, after.received.transactions.length]).toEqual([1, 1]);
});

test('a reload logs changed settings that need a restart', async () => {
  const server = await startTestServer();
  const prefix = testPrefix();
  const here = project(server.config(prefix));
  const worker = await here.worker();
  here.write('postlane.yaml', server.config(prefix, {}, ['worker: { slots: 3 }']));
  worker.child.kill('SIGHUP');
  expect(await worker.logged('restart-needed')).toMatchObject({ keys: ['worker.slots'], level: 'warn' });
});

test('the health check answers on the loopback while the worker runs', async () => {
  const server = await startTestServer();
  const port = await freePort();
  const here = project(server.config(testPrefix(), {}, [`worker: { health: { port: ${port} } }`]));
  const worker = await here.worker();
  expect(await worker.logged('health-listening')).toMatchObject({ host: '127.0.0.1', port });
  const ask = async (path: string): Promise<{ status: number; body: unknown }> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, body: await response.json() };
  };
  await until(async () => (await ask('/readyz')).status === 200, { what: 'the worker to be ready' });
  expect(await ask('/healthz')).toMatchObject({ status: 200, body: { ok: true, redis: 'ready' } });
  expect(await worker.end()).toBe(0);
  await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed');
});

test('a health port that is in use ends it with exit code 1 and an explanation', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, [`worker: { health: { port: ${port} } }`]));
  const worker = await here.worker({ wait: false });
  expect(await worker.logged('start-failed')).toMatchObject({
    detail: expect.stringContaining('EADDRINUSE') as string,
  });
  expect(await worker.logged('stopped')).toBeTruthy();
  expect(await worker.ended()).toBe(1);
});

test('an invalid configuration ends it with exit code 2 before it does anything', async () => {
  const here = project('hostname: x\n');
  const worker = await here.worker({ wait: false });
  expect(await worker.ended()).toBe(2);
  expect(worker.lines()).toEqual([]);
  expect(worker.output()).toMatch(/\[required\]|\[default-gateway-missing\]/);
});

test('waits for Redis without flooding the log, and serves once Redis is there', async () => {
  const redis = await startPrivateRedis();
  onTestFinished(() => redis.stop());
  await redis.kill();
  const server = await startTestServer();
  const here = project(server.config('{postlane}'));
  const worker = await here.worker({ wait: false, env: { REDIS_URL: redis.url } });
  await worker.logged('redis-error');
  await redis.restart();
  await worker.logged('ready');
  expect(worker.of('redis-error')).toHaveLength(1);
  expect(await worker.end()).toBe(0);
});

test('SIGTERM without Redis ends it with exit code 0, because there was nothing to drain', async () => {
  const server = await startTestServer();
  const worker = await project(server.config(testPrefix())).worker({
    wait: false,
    env: { REDIS_URL: 'redis://127.0.0.1:1' },
  });
  await worker.logged('redis-error');
  expect(await worker.end()).toBe(0);
  expect(worker.lines().at(-1)).toMatchObject({ event: 'stopped' });
});

test('attack: neither a password, nor a body, a subject or the list of recipients gets into the log', async () => {
  const secrets = { password: 'PLANTED-password', subject: 'PLANTED-subject', body: 'PLANTED-body' };
  const server = await startTestServer({
    auth: { user: 'u', password: secrets.password },
    // A server that quotes what it was told, as some do.
    script: { RCPT: ({ line }) => (line.includes('bad') ? `550 5.1.1 ${line}: unknown` : undefined) },
  });
  const config = server
    .config(testPrefix(), {}, ['log: { level: debug }'])
    .replace(
      'security: none }',
      `security: none, allowInsecureAuth: true, auth: { user: u, password: ${secrets.password} } }`,
    );
  const here = project(config);
  const worker = await here.worker();
  const to = ['one@example.net', 'two@example.net', 'bad@example.net'];
  const args = ['send', '--wait', '--from', 'me@example.com', '--to', to.join(), '--subject', secrets.subject];
  await here.call([...args, '--text', secrets.body, '--html', `<p>${secrets.body}</p>`, '--id', 'm1']);
  // A job that is no message is logged too: by what is wrong with it, not by what it says.
  here.write('postlane.yaml', config.replace('hostname: mail.example.com', 'hostname: other.example.com'));
  worker.child.kill('SIGHUP');
  await worker.logged('config-applied');
  await worker.end();
  expect(worker.of('sent')).toHaveLength(1);
  expect(worker.of('dead')).toHaveLength(1);
  const log = worker.output();
  for (const secret of Object.values(secrets)) expect(log).not.toContain(secret);
  expect(to.filter((address) => log.includes(address))).toEqual(['bad@example.net']);
});

test('a command survives the end of the program that reads its output', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  const { spawn } = await import('node:child_process');
  const child = spawn(
    'sh',
    ['-c', `"${process.execPath}" "$0" --help | true`, new URL('../../src/cli/main.ts', import.meta.url).pathname],
    { cwd: here.folder },
  );
  const stderr: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk.toString()));
  await once(child, 'close');
  expect(stderr.join('')).toBe('');
});

test('a silent client does not delay the end of the health check', async () => {
  const server = await startTestServer();
  const port = await freePort();
  const here = project(server.config(testPrefix(), {}, [`worker: { health: { port: ${port} } }`]));
  const worker = await here.worker();
  const idle = connect(port, '127.0.0.1');
  idle.on('error', () => undefined);
  onTestFinished(() => void idle.destroy());
  await once(idle, 'connect');
  expect(await worker.end()).toBe(0);
});
