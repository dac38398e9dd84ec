/** Microsoft Graph and Entra through a proxy: both take the same way, whatever the environment says, and faults are told. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createHttpClient } from '../../../src/transport/http.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { microsocksMissing, startMicrosocks, type Microsocks } from '../../../testkit/proxies/microsocks.ts';
import { squidMissing, startSquid, type Squid } from '../../../testkit/proxies/squid.ts';
import { until } from '../../../testkit/until.ts';
import { freely, graphPair, mailTo } from '../../support/graph-client.ts';
import { httpsServer } from '../../support/https-server.ts';
import { connectingProxy, routeTo, scriptedProxy } from '../../support/scripted-proxy.ts';
import { root } from '../../support/source.ts';

const mail = mailTo(['a@example.net'], ['To: a@example.net']);
const accepted = { recipients: [{ outcome: 'accepted' }] };
const login = { user: 'relay', password: 'right' };
const { signal } = freely;

const withoutSquid = squidMissing();
const withoutSocks = microsocksMissing();
for (const missing of [withoutSquid, withoutSocks]) if (missing !== null) console.warn(`not tested: ${missing}`);

describe.skipIf(withoutSquid !== null || withoutSocks !== null)('through a real proxy', () => {
  let squid: Squid;
  let socks: Microsocks;
  beforeAll(async () => {
    [squid, socks] = await Promise.all([startSquid({ login }), startMicrosocks(login)]);
  });
  afterAll(() => Promise.all([squid.stop(), socks.stop()]));
  const ways = async (): Promise<string> => [...(await squid.connects()), ...socks.connects()].join('\n');

  test.for(['http', 'socks5'] as const)('token and mail go by %s, over connections that are kept', async (kind) => {
    const url = `${kind}://relay:right@127.0.0.1:${kind === 'http' ? squid.port : socks.port}`;
    const { graph, transport } = await graphPair({ settings: { proxy: routeTo(url) } });
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
    expect(await transport.check(signal)).toMatchObject({
      ok: true,
      detail: expect.stringContaining(`through the proxy ${kind}://127.0.0.1:`) as string,
    });
    expect([graph.count('token'), graph.deliveries.length]).toEqual([1, 2]);
    await transport.close();
    const tunnels = async () => (await ways()).split('\n').filter((each) => each.includes(`127.0.0.1:${graph.port}`));
    // One for the token, and one for everything else.
    await until(async () => (await tunnels()).length === 2, { what: 'two tunnels to be told of' });
  });

  test.for(['http', 'socks5'] as const)('a wrong login by %s is told before the fence', async (kind) => {
    const url = `${kind}://relay:wrong-secret@127.0.0.1:${kind === 'http' ? squid.port : socks.port}`;
    const { graph, transport } = await graphPair({ settings: { proxy: routeTo(url) } });
    let asked = 0;
    const outcome = await transport.send(mail, { ...freely, fence: () => Promise.resolve(++asked > 0) });
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'auth', reply: { code: 'EPROXYAUTH' } });
    expect(JSON.stringify(outcome)).toMatch(/no token from Entra: the proxy \S+ does not accept the login/);
    expect(JSON.stringify(outcome)).not.toContain('wrong-secret');
    expect([asked, graph.requests.length]).toEqual([0, 0]);
  });

  test('a proxy that fails once the token is there is a fault of the connector, too', async () => {
    const own = await startSquid();
    const proxy = routeTo(`http://127.0.0.1:${own.port}`);
    const { graph, transport } = await graphPair({ settings: { proxy } });
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
    await own.stop();
    graph.dropConnections();
    // A connection that was kept may be found dead by the first request.
    const outcomes = [await transport.send(mail, freely), await transport.send(mail, freely)];
    expect(outcomes[1]).toMatchObject({
      kind: 'connector-fault',
      fault: 'unreachable',
      reply: { code: 'ECONNREFUSED' },
    });
    expect(JSON.stringify(outcomes[1])).toContain(`the proxy http://127.0.0.1:${own.port} cannot be reached`);
    expect(graph.deliveries).toHaveLength(1);
  });
});

test('attack: a proxy of the environment is not asked by the library past our own way', async () => {
  const other = await scriptedProxy((socket) => void socket.end());
  for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'HTTP_PROXY']) {
    vi.stubEnv(name, `http://127.0.0.1:${other.port}`);
  }
  onTestFinished(() => void vi.unstubAllEnvs());
  const { transport } = await graphPair();
  expect(await transport.send(mail, freely)).toMatchObject(accepted);
  expect(other.connections()).toBe(0);
});

test('a variable that the library could not read is no fault', async () => {
  vi.stubEnv('HTTPS_PROXY', '10.0.0.1:3128');
  onTestFinished(() => void vi.unstubAllEnvs());
  const { transport } = await graphPair();
  expect(await transport.send(mail, freely)).toMatchObject(accepted);
});

test('a tunnel that dies after the mail leaves it uncertain, as without a proxy', async () => {
  const proxy = await connectingProxy();
  const { graph, transport } = await graphPair({ settings: { proxy: routeTo(`http://127.0.0.1:${proxy.port}`) } });
  graph.script('sendMail', faults.hang('after-work'));
  const sending = transport.send(mail, freely);
  await until(() => graph.deliveries.length === 1, { what: 'the mail to be accepted' });
  proxy.reset();
  expect(await sending).toMatchObject({ recipients: [{ outcome: 'uncertain' }] });
});

test('the certificate of the server counts, not that of whoever is on the way', async () => {
  const proxy = await connectingProxy();
  const route = routeTo(`http://127.0.0.1:${proxy.port}`);
  const server = await httpsServer((_request, response) => void response.end('hello'));
  const get = async (ca: string | null) => {
    const client = createHttpClient(ca, 1, { proxy: route });
    onTestFinished(() => client.close());
    const url = `${server.origin}/`;
    return client.request({ url, method: 'GET', headers: {}, body: null, signal, timeoutMs: 10_000 });
  };
  expect(await get(server.ca)).toMatchObject({ status: 200, text: 'hello' });
  await expect(get(null)).rejects.toMatchObject({
    stage: 'connect',
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    message: expect.stringContaining(`through the proxy http://127.0.0.1:${proxy.port}`) as string,
  });
  expect(server.requests).toEqual(['GET /']);
});

test('a request that is stopped while the proxy waits leaves nothing behind once its client is closed', async () => {
  const proxy = await scriptedProxy(() => undefined);
  const client = createHttpClient(null, 1, { proxy: routeTo(`http://127.0.0.1:${proxy.port}`) });
  const stop = new AbortController();
  const about = { url: 'https://graph.example/', method: 'GET', headers: {}, body: null, timeoutMs: 10_000 };
  const asked = client.request({ ...about, signal: stop.signal });
  await until(() => proxy.open() === 1, { what: 'the connection' });
  stop.abort();
  await expect(asked).rejects.toMatchObject({
    stage: 'connect',
    message: expect.stringContaining('stopped') as string,
  });
  client.close();
  await until(() => proxy.open() === 0, { what: 'the connection to end' });
});

test('attack: a metadata service that answers in the open is asked without the proxy', async () => {
  const proxy = await scriptedProxy((socket) => void socket.end());
  const service = await scriptedProxy((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
  });
  const client = createHttpClient(null, 1, { plain: true, proxy: routeTo(`http://127.0.0.1:${proxy.port}`) });
  onTestFinished(() => client.close());
  const url = `http://127.0.0.1:${service.port}/`;
  const answer = await client.request({ url, method: 'GET', headers: {}, body: null, signal, timeoutMs: 10_000 });
  expect([answer.text, proxy.connections()]).toEqual(['hello', 0]);
});

test('attack: a process whose requests Node itself sends through a proxy asks the metadata service without it', async () => {
  const proxy = await scriptedProxy((socket) => void socket.end());
  const service = await scriptedProxy((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
  });
  const url = `http://127.0.0.1:${service.port}/`;
  const code = `
    const { createHttpClient } = await import(${JSON.stringify(join(root, 'src/transport/http.ts'))});
    const client = createHttpClient(null, 1, { plain: true });
    const signal = new AbortController().signal;
    const about = { url: ${JSON.stringify(url)}, method: 'GET', headers: {}, body: null, signal, timeoutMs: 10000 };
    process.stdout.write((await client.request(about)).text);
    client.close();`;
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1', HTTP_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: '' };
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], { env });
  expect([stdout, proxy.connections()]).toEqual(['hello', 0]);
});
