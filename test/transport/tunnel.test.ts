/** Proxies that misbehave: each failure is told within its time, names the proxy and not its login, and leaves no connection. */
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { openTunnel } from '../../src/transport/tunnel.ts';
import { parseProxyUrl } from '../../src/transport/proxy.ts';
import { until } from '../../testkit/until.ts';
import { scriptedProxy } from '../support/scripted-proxy.ts';

const target = { host: 'smtp.example.com', port: 587 };
const { signal } = new AbortController();

/** What comes of asking a proxy that does this. */
async function asked(scheme: string, serve: (socket: Socket) => void, timeoutMs = 20_000) {
  const proxy = await scriptedProxy(serve);
  const settings = parseProxyUrl(`${scheme}://relay:secret@127.0.0.1:${proxy.port}`)!;
  const opened = openTunnel(settings, target, { signal, timeoutMs });
  const failure = await opened.then(
    () => null,
    (error: Error & { code: string }) => error,
  );
  if (failure === null) return { socket: await opened, proxy, failure: null };
  await until(() => proxy.open() === 0, { what: 'the connection to end' });
  expect(failure.message).not.toContain('secret');
  expect(failure.message).toContain(`proxy ${scheme}://127.0.0.1:${proxy.port}`);
  return { socket: null, proxy, failure };
}

const says = (text: string) => (socket: Socket) => void socket.once('data', () => socket.write(text, 'latin1'));

describe('CONNECT', () => {
  test.for<[string, string, string]>([
    ['HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n', 'EPROXYAUTH', 'does not accept the login (407)'],
    [
      'HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n\r\n',
      'EPROXYNOTUNNEL',
      'not Basic',
    ],
    ['HTTP/1.1 403 No\r\n\r\n', 'EPROXYDENIED', 'does not allow connections to smtp.example.com:587'],
    ['HTTP/1.1 405 No\r\n\r\n', 'EPROXYNOTUNNEL', 'does not know CONNECT'],
    ['HTTP/1.1 502 Bad Gateway\r\n\r\n', 'EPROXY', 'cannot connect to smtp.example.com:587 (502)'],
    ['HTTP/1.1 302 Found\r\nLocation: http://login.example\r\n\r\n', 'EPROXY', '(302)'],
    ['HTTP/1.1 100 Continue\r\n\r\n', 'EPROXY', '(100)'],
    ['SSH-2.0-OpenSSH_9.2\r\n', 'EPROXY', 'no HTTP'],
    ['\x05\x00', 'EPROXY', 'no HTTP'],
  ])('%j is %s', async ([answer, code, text]) => {
    const { failure } = await asked('http', says(answer));
    expect(failure).toMatchObject({ code, message: expect.stringContaining(text) as string });
  });

  test('attack: what a proxy repeats of the login is not shown', async () => {
    const { failure } = await asked('http', (socket) => {
      socket.once('data', (request: Buffer) => {
        const [, login = ''] = /proxy-authorization: (.*)\r/i.exec(request.toString('latin1')) ?? [];
        expect(Buffer.from(login.replace('Basic ', ''), 'base64').toString()).toBe('relay:secret');
        socket.write(`HTTP/1.1 502 secret ${login}\r\n\r\nsecret`);
      });
    });
    expect(failure?.message).not.toMatch(/Basic|cmVsYXk/);
  });

  test('attack: a header without an end is cut', async () => {
    const { failure } = await asked('http', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n');
        const pour = (): void => {
          while (!socket.destroyed && socket.writable && socket.write(`X-Header: ${'y'.repeat(1_000)}\r\n`)) continue;
        };
        socket.on('drain', pour);
        pour();
      });
    });
    expect(failure?.code).toBe('EPROXY');
  });

  test('attack: a header that trickles ends after the time', async () => {
    const { failure } = await asked(
      'http',
      (socket) => {
        const timer = setInterval(() => socket.write('X'), 20);
        socket
          .once('data', () => socket.write('HTTP/1.1 200 OK\r\nX-Header: '))
          .on('close', () => clearInterval(timer));
        socket.once('error', () => clearInterval(timer));
      },
      400,
    );
    expect(['ETIMEDOUT', 'EPROXY']).toContain(failure?.code);
  });

  test('what the server says with the answer is not lost', async () => {
    const { socket } = await asked('http', says('HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n220 hello\r\n'));
    const [first] = (await once(socket!, 'data')) as [Buffer];
    expect(first.toString()).toBe('220 hello\r\n');
    socket!.destroy();
  });
});

async function inPieces(socket: Socket, bytes: readonly number[]): Promise<void> {
  for (const each of bytes) {
    socket.write(Buffer.from([each]));
    await wait(2);
  }
}

describe('SOCKS5', () => {
  /** Answers one request after the other. */
  const dialogue =
    (...answers: readonly (readonly number[])[]) =>
    (socket: Socket): void => {
      const left = [...answers];
      socket.on('data', () => void socket.write(Buffer.from(left.shift() ?? [])));
    };

  test.for<[string, readonly (readonly number[])[], string, string]>([
    ['no method', [[5, 255]], 'EPROXYNOTUNNEL', 'takes no user and password'],
    [
      'a wrong login',
      [
        [5, 2],
        [1, 1],
      ],
      'EPROXYAUTH',
      'does not accept the login',
    ],
    ['SOCKS4', [[0, 91]], 'EPROXYNOTUNNEL', 'does not speak SOCKS5'],
    [
      'a rule',
      [
        [5, 0],
        [5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
      ],
      'EPROXYDENIED',
      'does not allow connections to smtp.example.com:587',
    ],
    [
      'a refusal',
      [
        [5, 0],
        [5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
      ],
      'EPROXY',
      'is refused a connection by smtp.example.com:587',
    ],
    [
      'an unknown reply',
      [
        [5, 0],
        [5, 99, 0, 1, 0, 0, 0, 0, 0, 0],
      ],
      'EPROXY',
      'answers 99',
    ],
    [
      'an unknown address',
      [
        [5, 0],
        [5, 0, 0, 9],
      ],
      'EPROXY',
      'no SOCKS5',
    ],
    ['HTTP', [[...Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')]], 'EPROXYNOTUNNEL', 'does not speak SOCKS5'],
  ])('%s is told', async ([, answers, code, text]) => {
    const { failure } = await asked('socks5', dialogue(...answers));
    expect(failure).toMatchObject({ code, message: expect.stringContaining(text) as string });
  });

  test('a connection that ends within an answer is told', async () => {
    const { failure } = await asked('socks5', (socket) => void socket.once('data', () => socket.end(Buffer.from([5]))));
    expect(failure?.message).toContain('ended within an answer');
  });

  test('sends the name as it is, and answers may come in pieces or all at once', async () => {
    const requests: Buffer[] = [];
    const { socket } = await asked('socks5', (client) => {
      client.on('data', (bytes: Buffer) => {
        requests.push(bytes);
        if (requests.length < 3) return void client.write(Buffer.from(requests.length === 1 ? [5, 2] : [1, 0]));
        return void inPieces(client, [5, 0, 0, 3, 2, 104, 105, 1]).then(() => client.write('\x02220 hello\r\n'));
      });
    });
    const [first] = (await once(socket!, 'data')) as [Buffer];
    expect(first.toString()).toBe('220 hello\r\n');
    expect(requests.map((each) => each.toString('latin1'))).toEqual([
      '\x05\x02\x00\x02',
      '\x01\x05relay\x06secret',
      '\x05\x01\x00\x03\x10smtp.example.com\x02\x4b',
    ]);
    socket!.destroy();
  });

  test.for<[string, readonly number[]]>([
    ['192.0.2.7', [1, 192, 0, 2, 7]],
    ['2001:db8::7', [4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]],
    ['::ffff:192.0.2.7', [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]],
  ])('the address %s is sent as one', async ([host, bytes]) => {
    const requests: Buffer[] = [];
    const proxy = await scriptedProxy((socket) => {
      socket.on('data', (each: Buffer) => {
        requests.push(each);
        socket.write(Buffer.from(requests.length === 1 ? [5, 0] : [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
      });
    });
    const settings = parseProxyUrl(`socks5://127.0.0.1:${proxy.port}`)!;
    const socket = await openTunnel(settings, { host, port: 25 }, { signal, timeoutMs: 20_000 });
    expect([...requests[1]!]).toEqual([5, 1, 0, ...bytes, 0, 25]);
    socket.destroy();
  });
});

describe.each(['http', 'socks5'])('%s', (scheme) => {
  test('a proxy that says nothing is told after the time', async () => {
    const { failure } = await asked(scheme, () => undefined, 200);
    expect(failure).toMatchObject({
      code: 'ETIMEDOUT',
      message: expect.stringContaining('has not connected to smtp.example.com:587 within 200 ms') as string,
    });
  });

  test('a proxy that closes, and one that resets, are told', async () => {
    const closed = await asked(scheme, (socket) => void socket.once('data', () => socket.end()));
    expect(closed.failure).not.toBeNull();
    const reset = await asked(scheme, (socket) => void socket.once('data', () => socket.resetAndDestroy()));
    expect(reset.failure?.code).toBe('ECONNRESET');
  });

  test('a proxy that is not there is told', async () => {
    const proxy = parseProxyUrl(`${scheme}://127.0.0.1:1`)!;
    const opened = openTunnel(proxy, target, { signal, timeoutMs: 20_000 });
    await expect(opened).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringContaining(`proxy ${scheme}://127.0.0.1:1 cannot be reached`) as string,
    });
  });

  test('the signal ends the wait and the connection', async () => {
    const proxy = await scriptedProxy(() => undefined);
    const stop = new AbortController();
    const settings = parseProxyUrl(`${scheme}://127.0.0.1:${proxy.port}`)!;
    const opened = openTunnel(settings, target, { signal: stop.signal, timeoutMs: 60_000 });
    await until(() => proxy.open() === 1, { what: 'a connection' });
    stop.abort();
    await expect(opened).rejects.toMatchObject({ code: 'EPROXY' });
    await until(() => proxy.open() === 0, { what: 'the connection to end' });
    await expect(openTunnel(settings, target, { signal: stop.signal, timeoutMs: 60_000 })).rejects.toThrow('stopped');
    expect(proxy.connections()).toBe(1);
  });
});
