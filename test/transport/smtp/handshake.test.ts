/** What a server may say until the session is ready: a bounded amount, in step, and nothing that holds the event loop. */
import net from 'node:net';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createHandshakeGuard } from '../../../src/transport/smtp/handshake-guard.ts';
import { readExtensions } from '../../../src/transport/smtp/extensions.ts';
import { growsLinearly, longestTurnAllowedMs, longestTurnMs } from '../../support/growth.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import { ehlo, sendTo, teller } from '../../support/smtp-teller.ts';
import { createCertificates, type Certificates } from '../../../testkit/certificates.ts';
import { until } from '../../../testkit/until.ts';
import type { Outcome } from '../../../src/transport/transport.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

/** A server that answers the greeting and each line with `answers`, and then floods with `flood` until it is cut off. */
async function flooder(answers: readonly string[], flood: string): Promise<{ port: number; isOpen: () => boolean }> {
  let open = 0;
  const server = net.createServer((socket) => {
    open += 1;
    const left = [...answers];
    const pour = (): void => {
      if (flood === '') return;
      while (!socket.destroyed && socket.write(flood)) continue;
    };
    const next = (): void => {
      const answer = left.shift();
      if (answer !== undefined) return void socket.write(answer);
      socket.on('drain', pour);
      pour();
    };
    socket
      .on('error', () => undefined)
      .on('close', () => (open -= 1))
      .on('data', next);
    next();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as net.AddressInfo).port, isOpen: () => open > 0 };
}

async function sendThrough(port: number, auth = false): Promise<string> {
  const login = auth ? { auth: { user: 'tim', password: 'tanstaaftanstaaf' }, allowInsecureAuth: true } : {};
  const { transport } = await smtpPair({}, { port, ...login });
  return summary(await sendBy(transport, mailOf()));
}

const greeting = '220 flooder\r\n';
const kib = 'x'.repeat(1_024);

describe.each<[string, readonly string[], string]>([
  ['a greeting without an end', [], `220-${kib}\r\n`],
  ['a greeting of one endless line', [], kib],
  ['empty lines instead of a greeting', [], '\n'.repeat(1_024)],
  ['empty lines instead of a reply to EHLO', [greeting], '\r\n'.repeat(1_024)],
  ['a reply to EHLO of 90,000 lines', [greeting], '250-X A B\r\n'.repeat(1_000)],
  ['a reply to EHLO of one endless line', [greeting], kib],
  ['replies that no command asked for', [greeting], '250 ok\r\n'.repeat(100)],
])('attack: %s', (_, answers, flood) => {
  test('is given up after a bounded number of bytes, as a fault of the connector alone', async () => {
    const { port, isOpen } = await flooder(answers, flood);
    const before = process.memoryUsage().heapUsed;
    expect(await sendThrough(port)).toBe('fault unreachable');
    await until(() => !isOpen(), { what: 'the connection to end' });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50_000_000);
  });
});

test('attack: what nodemailer gets to see is bounded in bytes and in lines, and inspected in linear time', async () => {
  const passed = (chunk: string): number => {
    const guard = createHandshakeGuard();
    let count = 0;
    while (count < 100_000 && guard.inspect(Buffer.from(chunk)) === null) count += 1;
    return count * chunk.length;
  };
  for (const chunk of ['\n', '250-x\r\n', 'x', `250-${kib}\r\n`]) expect(passed(chunk)).toBeLessThanOrEqual(64 * 1_024);
  expect(passed('250-x\r\n')).toBe(500 * 7);
  const trickle = (size: number): void => {
    const guard = createHandshakeGuard();
    for (let i = 0; i < size; i += 1) guard.inspect(Buffer.from('x'));
  };
  expect(await growsLinearly(trickle, 60_000)).toBe(true);
});

test('attack: 90,000 keywords with a parameter each are read in linear time', async () => {
  expect(await growsLinearly((size) => void readExtensions(`250-x\n${'250-X A\n'.repeat(size)}250 X`), 90_000)).toBe(
    true,
  );
});

test.each(['0x10', '1e3', '-5', '10 MB', '１０', '9'.repeat(21), 'Infinity'])(
  'attack: SIZE %s is no limit, or only what is written in decimal digits',
  (size) => {
    const { maxBytes } = readExtensions(`250-x\n250 SIZE ${size}`);
    expect(maxBytes).toBe(size === '10 MB' ? 10 : null);
  },
);

test('a reply to EHLO with a hundred lines is read as any other', async () => {
  const lines = Array.from({ length: 100 }, (_, index) => `250-X-KEYWORD-${index} ${'y'.repeat(100)}\n`).join('');
  const told = await teller([`250-teller\n${lines}250 PIPELINING\n`, '250 ok\n250 ok\n354 go\n', '250 queued\n']);
  expect(await sendTo(told, ['a@example.net'])).toBe('accepted');
});

test.each<[string, readonly string[], string]>([
  ['to EHLO, with the greeting', [`220 x\r\n250 PIPELINING\r\n`], 'fault unreachable'],
  ['begun, with the greeting', ['220 x\r\n25'], 'fault unreachable'],
  ['421 with the greeting', ['220 x\r\n421 4.3.2 too many connections\r\n'], 'fault throttled'],
])('attack: a reply %s, before its command, ends the session', async (_, answers, expected) => {
  const { port } = await flooder([...answers, ''], '');
  expect(await sendThrough(port)).toBe(expected);
});

test('attack: a reply that is injected behind the answer to STARTTLS ends the session', async () => {
  const { server, transport } = await smtpPair(
    { tls: certificates.server, script: { STARTTLS: '220 go ahead\n250 PIPELINING' } },
    { security: 'starttls', tls: { ca: certificates.ca, servername: null } },
  );
  expect(summary(await sendBy(transport, mailOf()))).toBe('fault unreachable');
  expect(server.received.commands.map((line) => line.split(' ')[0])).toEqual(['EHLO', 'STARTTLS']);
});

describe('a greeting', () => {
  /** Says this at once, in these pieces, and closes. */
  async function greeted(pieces: readonly string[]): Promise<Outcome> {
    const server = net.createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => undefined).resume();
      const say = (index: number): void => {
        const piece = pieces[index];
        if (piece !== undefined) return void socket.write(piece, () => setImmediate(say, index + 1));
        socket.end();
      };
      say(0);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { transport } = await smtpPair({}, { port: (server.address() as net.AddressInfo).port });
    const outcome = await sendBy(transport, mailOf());
    // `postlane check --connect` shows the same.
    const checked = await transport.check(new AbortController().signal);
    expect(checked).toEqual({ ...outcome, kind: undefined, server: undefined, pauseMs: undefined, ok: false });
    return outcome;
  }

  test.for<[string, readonly string[], string, string, string]>([
    ['of several lines', ['554-mx one\r\n554-two\r\n554 three\r\n'], 'blocked', '554', 'mx one two three'],
    ['in pieces', ['554-mx o', 'ne\r\n55', '4-two\r\n554 th', 'ree\r\n'], 'blocked', '554', 'mx one two three'],
    ['with empty lines', ['554-\r\n554-mx says no\r\n554 \r\n'], 'blocked', '554', 'mx says no'],
    ['with a code in each line', ['421-4.7.0 one\r\n421 4.7.0 two\r\n'], 'throttled', '421', 'one two'],
    ['that is cut off between its lines', ['554-mx one\r\n554-two\r\n'], 'blocked', '554', 'mx one two'],
    ['that is cut off within a line', ['554-mx one\r\n554 tw'], 'blocked', '554', 'mx one tw'],
    ['that begins as one that serves', ['220-mx\r\n', '521 5.3.2 not now\r\n'], 'blocked', '521', 'mx 5.3.2 not now'],
    ['of one that was about to serve', ['220-mx\r\n', '421 4.3.2 busy\r\n'], 'throttled', '421', 'mx 4.3.2 busy'],
  ])('%s that refuses keeps all of its text', async ([, pieces, fault, code, text]) => {
    expect(await greeted(pieces)).toMatchObject({ kind: 'connector-fault', fault, reply: { code, text } });
  });

  test('of several lines that serves is read as any other', async () => {
    const script = { CONNECT: '220-scripted.test ESMTP\n220-we log all of it\n220 ready' };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.connections).toBe(1);
  });
});

describe('AUTH', () => {
  const offer = '250-x\r\n250 AUTH CRAM-MD5\r\n';

  test('attack: a challenge of blanks is refused at once', async () => {
    const { port } = await flooder([greeting, offer, `334 ${' '.repeat(60_000)}x\r\r\n`], '');
    expect(await sendThrough(port, true)).toBe('fault unreachable');
    expect(await longestTurnMs(() => sendThrough(port, true))).toBeLessThan(longestTurnAllowedMs);
  });

  test.each([
    ['that is not base64', '334 <1896.697170952@postoffice>\r\n'],
    ['that is empty', '334 \r\n'],
    ['of 20,000 characters', `334 ${'A'.repeat(20_000)}\r\n`],
    ['of two lines', '334-PDE4\r\n334 OTYu\r\n'],
    ['without a blank', '334\r\n'],
  ])('attack: a challenge %s gets no response', async (_, challenge) => {
    const told = await teller(['250-x\n250 AUTH CRAM-MD5\n', challenge.replaceAll('\r\n', '\n')]);
    expect(await sendThrough(told.port, true)).toBe('fault unreachable');
    expect(told.heard.join('')).not.toContain('dGlt');
  });

  test('answers a challenge of CRAM-MD5 as RFC 2195 does', async () => {
    const challenge = 'PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+';
    const told = await teller([
      '250-x\n250 AUTH CRAM-MD5\n',
      `334 ${challenge}\n`,
      '235 ok\n',
      '250 x\n',
      '250 ok\n',
      '250 ok\n',
      '354 go\n',
      '250 queued\n',
    ]);
    expect(await sendThrough(told.port, true)).toBe('accepted');
    expect(told.heard[2]).toBe('dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n');
  });

  test.each(['PLAIN', 'LOGIN', 'CRAM-MD5'])(
    'attack: a server that asks for ever in %s is given up',
    async (mechanism) => {
      const told = await teller([`250-x\n250 AUTH ${mechanism}\n`, ...Array<string>(20).fill('334 QUFB\n')]);
      expect(await sendThrough(told.port, true)).toBe('fault unreachable');
      expect(told.heard.length).toBeLessThan(8);
    },
  );

  test('attack: a reply that came before the password ends the session', async () => {
    const told = await teller(['250-x\n250 AUTH LOGIN\n', '334 VXNlcm5hbWU6\n334 UGFzc3dvcmQ6\n235 ok\n']);
    expect(await sendThrough(told.port, true)).toBe('fault unreachable');
    expect(told.heard.join('')).not.toContain(Buffer.from('tanstaaf').toString('base64').slice(0, 8));
  });

  test('is not tried where the session before it was out of step', async () => {
    const told = await teller([`${ehlo}250 ok\n`, '235 ok\n']);
    expect(await sendThrough(told.port, true)).toBe('fault unreachable');
    expect(told.heard.join('')).not.toContain('AUTH');
  });
});
