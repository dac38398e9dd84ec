/** `serve` as a process, and a worker's metrics: what they answer, to whom, and what an outage of Redis does to each. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';

const send = (id: string): string[] =>
  `send --from me@example.com --to you@example.net --subject x --text x --id ${id}`.split(' ');
const listening = 'metrics: { listen: 127.0.0.1:0 }';
const serving = 'api: { listen: 127.0.0.1:0, hosts: [serve.internal] }';

/** `fetch` does not let a caller choose the Host. */
async function ask(
  port: unknown,
  path: string,
  host = 'localhost',
): Promise<{ status: number | undefined; body: string }> {
  const answered = Promise.withResolvers<{ status: number | undefined; body: string }>();
  request({ host: '127.0.0.1', port: Number(port), path, headers: { host } }, (response) => {
    void text(response).then((body) => answered.resolve({ status: response.statusCode, body }));
  })
    .on('error', answered.reject)
    .end();
  return answered.promise;
}

const valueOf = (body: string, series: string): number | undefined => {
  const line = body.split('\n').find((each) => each.startsWith(`postlane_${series} `));
  return line === undefined ? undefined : Number(line.split(' ')[1]);
};

test('a worker shows what it sent, and `serve` shows the fleet once, however many workers there are', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, [listening, serving]));
  const [one, two] = await Promise.all([here.worker(), here.worker()]);
  const serve = await here.serve();
  const ports = await Promise.all([one, two].map(async (worker) => (await worker.logged('metrics-listening'))['port']));
  const { port } = await serve.logged('serving');
  for (const id of ['a', 'b', 'c']) await here.callJson([...send(id), '--wait']);
  const sent = async (): Promise<number> => {
    const bodies = await Promise.all(ports.map(async (each) => (await ask(each, '/metrics')).body));
    expect(bodies.every((body) => !body.includes('postlane_workers'))).toBe(true);
    return bodies.reduce((sum, body) => sum + (valueOf(body, 'messages_settled_total{state="sent"}') ?? 0), 0);
  };
  await until(async () => (await sent()) === 3, { what: 'three messages at the end' });
  // What was read while the second one was not there yet is shown for five seconds.
  await until(async () => valueOf((await ask(port, '/metrics')).body, 'workers') === 2, { what: 'both workers' });
  const { body } = await ask(port, '/metrics');
  expect(valueOf(body, 'connectors{waiting_for="work"}')).toBe(1);
  expect(body).not.toContain('postlane_attempts_total');
  expect((await ask(port, '/readyz')).status).toBe(200);
  expect((await ask(port, '/livez', 'serve.internal:8025')).status).toBe(200);
  expect((await ask(port, '/metrics', 'rebound.example')).status).toBe(421);
  expect((await ask(port, '/healthz?x')).status).toBe(200);
  expect((await ask(port, '/v1/messages')).status).toBe(401);
  expect(await serve.end()).toBe(0);
  expect(serve.lines().at(-1)).toMatchObject({ event: 'served' });
});

test('one worker may show the fleet instead of `serve`', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, ['metrics: { listen: 127.0.0.1:0, global: true }']));
  const worker = await here.worker();
  const { port } = await worker.logged('metrics-listening');
  const { body } = await ask(port, '/metrics');
  expect([valueOf(body, 'workers'), valueOf(body, 'slots')]).toEqual([1, 64]);
  expect(await worker.end()).toBe(0);
});

test('without Redis `serve` and a worker are live and not ready, say so in their metrics, and go on when it is there', async () => {
  const redis = await startPrivateRedis();
  onTestFinished(() => redis.stop());
  await redis.kill();
  const server = await startTestServer();
  const here = project(server.config('{postlane}', {}, [listening, serving]));
  const options = { wait: false, env: { REDIS_URL: redis.url } };
  const [worker, serve] = [await here.worker(options), await here.serve(options)];
  const ports = [(await worker.logged('metrics-listening'))['port'], (await serve.logged('serving'))['port']];
  for (const port of ports) {
    const asked = await Promise.all(['/livez', '/readyz', '/metrics'].map((path) => ask(port, path)));
    expect(asked.map(({ status }) => status)).toEqual([200, 503, 200]);
    expect(valueOf(asked[2]!.body, 'redis_up')).toBe(0);
    expect(valueOf(asked[2]!.body, 'ready')).toBe(0);
    expect(asked[2]!.body).not.toContain('postlane_unsettled_messages 0');
  }
  await redis.restart();
  for (const port of ports) await until(async () => (await ask(port, '/readyz')).status === 200, { what: 'ready' });
  await until(async () => valueOf((await ask(ports[1], '/metrics')).body, 'redis_up') === 1, { what: 'the fleet' });
  expect(await Promise.all([worker.end(), serve.end()])).toEqual([0, 0]);
});

test('a worker whose address for metrics is in use sends mail all the same, and says so once', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, [`metrics: { listen: "127.0.0.1:${port}" }`]));
  const worker = await here.worker();
  expect(await worker.logged('metrics-unavailable')).toMatchObject({ level: 'warn', host: '127.0.0.1', port });
  expect(await here.callJson([...send('a'), '--wait'])).toMatchObject({ code: 0 });
  expect(await worker.end()).toBe(0);
  expect(worker.of('metrics-unavailable')).toHaveLength(1);
});

test('`serve` whose address is in use ends with exit code 1 and an explanation', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  onTestFinished(() => void taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const server = await startTestServer();
  const serve = await project(server.config(testPrefix(), {}, [`api: { listen: "127.0.0.1:${port}" }`])).serve({
    wait: false,
  });
  expect(await serve.logged('start-failed')).toMatchObject({ detail: expect.stringContaining('EADDRINUSE') as string });
  expect(await serve.ended()).toBe(1);
});

test('with `listen: none` a worker listens nowhere', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, ['metrics: { listen: none }']));
  const worker = await here.worker();
  expect(await worker.end()).toBe(0);
  expect(
    worker
      .lines()
      .map(({ event }) => event)
      .filter((event) => event.startsWith('metrics')),
  ).toEqual([]);
});

test('`serve` shows a changed configuration, and mistakes in it', async () => {
  const server = await startTestServer();
  const prefix = testPrefix();
  const here = project(server.config(prefix, {}, [serving]));
  const serve = await here.serve();
  const { port } = await serve.logged('serving');
  const state = async () => valueOf((await ask(port, '/metrics')).body, 'config_last_reload_successful');
  expect(await state()).toBe(1);
  here.write('postlane.yaml', server.config(prefix, { bad: '{ direction: sideways }' }, [serving]));
  serve.child.kill('SIGHUP');
  await serve.logged('config-rejected');
  expect(await state()).toBe(0);
  const expiring = `{ address: s@example.com, direction: outgoing, expires: 2027-06-30, smtp: { host: 127.0.0.1, port: 1 } }`;
  here.write('postlane.yaml', server.config(prefix, { sales: expiring }, [serving]));
  serve.child.kill('SIGHUP');
  await serve.logged('config-applied');
  const { body } = await ask(port, '/metrics');
  expect(valueOf(body, 'config_last_reload_successful')).toBe(1);
  expect(valueOf(body, 'credential_expiry_timestamp_seconds{connector="sales"}')).toBe(
    Date.UTC(2027, 6, 1) / 1_000 - 0.001,
  );
});
