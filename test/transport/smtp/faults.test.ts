/** Servers that disconnect, stop answering or change their minds, at every phase: what is known then, and what is not. */
import net from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import type { SmtpAnswer } from '../../../testkit/smtp/server.ts';
import { startProcessClock } from '../../support/process-clock.ts';

const short = {
  timeouts: { connectMs: 2_000, greetingMs: 150, commandMs: 150, dataTerminationMs: 150, totalMs: 5_000 },
};
const large = Buffer.from(
  `Subject: large\r\n\r\n${'0123456789abcdef'.repeat(4)}\r\n`.padEnd(100) + `${'x'.repeat(78)}\r\n`.repeat(200_000),
);

describe.for<SmtpAnswer & string>(['close', 'reset', 'hang'])('a server that does this: %s', (action) => {
  test.for<[string, string]>([
    ['CONNECT', 'fault unreachable'],
    ['EHLO', 'fault unreachable'],
    ['MAIL', 'deferred deferred'],
    ['RCPT', 'deferred deferred'],
    ['DATA', 'deferred deferred'],
    ['.', 'uncertain uncertain'],
  ])('at %s → %s', async ([verb, expected]) => {
    const { transport, server } = await smtpPair({ script: { [verb]: () => action } }, short);
    const outcome = await sendBy(transport, mailOf({ to: ['a@example.net', 'b@example.net'] }));
    expect(summary(outcome)).toBe(expected);
    // The session is not used again. At RCPT, the second recipient is tried without the first.
    await sendBy(transport, mailOf());
    expect(server.received.connections).toBe(verb === 'RCPT' && action !== 'hang' ? 3 : 2);
  });

  test('at AUTH → fault unreachable', async () => {
    const auth = { user: 'u', password: 'p' };
    const { transport } = await smtpPair(
      { auth, script: { AUTH: () => action } },
      { ...short, auth, allowInsecureAuth: true },
    );
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault unreachable');
  });
});

test.for<SmtpAnswer & string>(['close', 'reset'])(
  'a server that does this amid the body: %s → deferred, as it must discard an incomplete message',
  async (action) => {
    const { transport, server } = await smtpPair({ script: { BODY: action }, bodyBytesBefore: 100_000 });
    expect(summary(await sendBy(transport, mailOf({ bytes: large })))).toBe('deferred');
    expect(server.received.transactions).toEqual([]);
  },
);

describe('a server that does not answer', () => {
  test('and never reads is given up in bounded time, and the body is incomplete', async () => {
    const sockets: net.Socket[] = [];
    const deaf = net.createServer((socket) => {
      sockets.push(socket);
      socket.write('220 deaf\r\n');
      let seen = '';
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1');
        if (seen.includes('EHLO')) socket.write('250 deaf\r\n');
        else if (seen.includes('MAIL') || seen.includes('RCPT')) socket.write('250 ok\r\n');
        else if (seen.includes('DATA')) {
          socket.write('354 go\r\n');
          socket.pause();
        }
        if (seen.endsWith('\r\n')) seen = '';
      });
    });
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      deaf.close();
    });
    const { port } = deaf.address() as net.AddressInfo;
    const { transport } = await smtpPair({}, { ...short, port });
    expect(summary(await sendBy(transport, mailOf({ bytes: large })))).toBe('deferred');
  });

  test.for<[string, string, string]>([
    ['EHLO', '250-still thinking', 'fault unreachable'],
    ['MAIL', '250-still thinking', 'deferred'],
    ['.', '250-still thinking', 'uncertain'],
  ])('but trickles at %s is given up with the time of the attempt', async ([verb, line, expected]) => {
    const late = { commandMs: 1_000, totalMs: 300 };
    const script = { [verb]: { trickle: line, everyMs: 20 } };
    const { transport } = await smtpPair({ script, extensions: [] }, { timeouts: { ...late, dataTerminationMs: 300 } });
    expect(summary(await sendBy(transport, mailOf()))).toBe(expected);
  });

  test('to the end of data is not cut short by the time of the attempt', async () => {
    const answer = Promise.withResolvers<string>();
    const { transport } = await smtpPair({ script: { '.': () => answer.promise } }, { timeouts: { totalMs: 200 } });
    const sending = sendBy(transport, mailOf());
    setTimeout(() => answer.resolve('250 2.0.0 at last'), 500);
    expect(summary(await sending)).toBe('accepted');
  });

  test('to the end of data has its own time, longer than that of a command', async () => {
    const answer = Promise.withResolvers<string>();
    const { transport } = await smtpPair({ script: { '.': () => answer.promise } }, { timeouts: { commandMs: 400 } });
    const sending = sendBy(transport, mailOf());
    setTimeout(() => answer.resolve('250 2.0.0 at last'), 1_200);
    expect(summary(await sending)).toBe('accepted');
  });
});

describe('a connection that fails', () => {
  const quick = { timeouts: { connectMs: 300, greetingMs: 300 } };

  test('because nothing listens', async () => {
    const { server, transport } = await smtpPair({}, quick);
    await server.stop();
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable', reply: { code: 'ECONNREFUSED' } });
  });

  test('because the name does not resolve, or the resolver gets no answer, takes no longer than the time to connect', async () => {
    const { transport } = await smtpPair({}, { ...quick, host: 'does-not-exist.invalid' });
    const elapsedMs = startProcessClock();
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault unreachable');
    expect(elapsedMs()).toBeLessThan(2_000);
  });

  test('because a TLS handshake is never answered', async () => {
    const { transport } = await smtpPair({ script: { CONNECT: 'hang', '': 'hang' } }, { ...quick, security: 'tls' });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome.kind).toBe('connector-fault');
  });

  test('because the handshake after STARTTLS is never answered', async () => {
    const mute = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('220 mute\r\n');
      let lines = 0;
      socket.on('data', () => {
        lines += 1;
        if (lines === 1) socket.write('250-mute\r\n250 STARTTLS\r\n');
        if (lines === 2) socket.write('220 go ahead\r\n');
      });
    });
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void mute.close());
    const { port } = mute.address() as net.AddressInfo;
    const { transport } = await smtpPair({}, { ...quick, port, security: 'starttls' });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable', reply: { code: 'ETIMEDOUT' } });
  });
});

describe('the signal', () => {
  test.for<[string, string]>([
    ['CONNECT', 'stopped signal'],
    ['MAIL', 'deferred'],
    ['.', 'uncertain'],
  ])('that comes while the server does not answer at %s → %s', async ([verb, expected]) => {
    const stop = new AbortController();
    const script = {
      [verb]: (): SmtpAnswer => {
        setImmediate(() => stop.abort());
        return 'hang';
      },
    };
    const { transport } = await smtpPair({ script, extensions: [] });
    expect(summary(await sendBy(transport, mailOf(), { signal: stop.signal }))).toBe(expected);
  });
});

describe('replies that end the session', () => {
  test.for<[string, string, string]>([
    ['CONNECT', '421 4.7.0 too many', 'fault throttled'],
    ['CONNECT', '554 5.7.1 blocked', 'fault blocked'],
    ['EHLO', '421 4.7.0 too many', 'fault throttled'],
    ['MAIL', '421 4.7.0 too many', 'suspect throttled'],
    ['RCPT', '421 4.7.0 too many', 'deferred accepted'],
    ['DATA', '421 4.7.0 too many', 'suspect throttled'],
    ['.', '421 4.7.0 too many', 'suspect throttled'],
    ['MAIL', '503 5.5.1 bad sequence', 'deferred deferred'],
    ['MAIL', 'what?', 'deferred deferred'],
    // The server may have accepted the recipient: a message now and another at the retry would be two.
    ['RCPT', 'what?', 'deferred deferred'],
    ['DATA', 'what?', 'deferred deferred'],
    ['.', 'what?', 'uncertain uncertain'],
  ])('%s: %s → %s, and a new session next time', async ([verb, reply, expected]) => {
    const { transport, server } = await smtpPair({ script: { [verb]: [reply] } });
    expect(summary(await sendBy(transport, mailOf({ to: ['a@example.net', 'b@example.net'] })))).toBe(expected);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.connections).toBe(2);
  });

  test('keep earlier refusals of recipients, and reach the others', async () => {
    const { transport } = await smtpPair({ script: { RCPT: ['550 5.1.1 no', '421 4.7.0 too many'] } });
    const outcome = await sendBy(transport, mailOf({ to: ['a@example.net', 'b@example.net', 'c@example.net'] }));
    expect(summary(outcome)).toBe('rejected deferred accepted');
    expect(outcome).not.toHaveProperty('slowDownMs');
  });

  test('take a refusal amid the body as the answer, and end the session', async () => {
    const { transport, server } = await smtpPair({ script: { BODY: '552 5.3.4 too large' }, bodyBytesBefore: 100_000 });
    const outcome = await sendBy(transport, mailOf({ bytes: large }));
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'rejected', tooLarge: true }] });
    await sendBy(transport, mailOf());
    expect(server.received.connections).toBe(2);
  });

  test('do not take an acceptance amid the body as the answer', async () => {
    const { transport } = await smtpPair({ script: { BODY: '250 2.0.0 queued' }, bodyBytesBefore: 100_000 });
    expect(summary(await sendBy(transport, mailOf({ bytes: large })))).toBe('deferred');
  });
});

describe.for<[string, readonly string[]]>([
  ['with PIPELINING', ['PIPELINING']],
  ['without PIPELINING', []],
])('%s', ([, extensions]) => {
  test.for<[string, string, string]>([
    ['MAIL', '550 5.7.1 no', 'rejected rejected'],
    ['MAIL', '451 4.3.0 later', 'deferred deferred'],
    ['RCPT', '550 5.1.1 no', 'rejected rejected'],
    ['DATA', '554 5.7.1 no', 'rejected rejected'],
    ['DATA', '451 4.3.0 later', 'deferred deferred'],
    ['.', '554 5.6.0 no', 'rejected rejected'],
    ['.', '451 4.3.0 later', 'deferred deferred'],
  ])('%s refused with %s → %s, and the session goes on', async ([verb, reply, expected]) => {
    const script = { [verb]: verb === 'RCPT' ? [reply, reply] : [reply] };
    const { transport, server } = await smtpPair({ extensions, script });
    const to = ['a@example.net', 'b@example.net'];
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe(expected);
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe('accepted accepted');
    expect(server.received.connections).toBe(1);
    expect(server.received.commands.includes('RSET')).toBe(verb !== '.');
  });

  test('sorts the recipients by the reply to each', async () => {
    const script = {
      RCPT: ({ line }: { line: string }) =>
        line.includes('no@') ? '550 5.1.1 no' : line.includes('later@') ? '450 4.2.0 later' : undefined,
    };
    const { transport, server } = await smtpPair({ extensions, script });
    const to = ['no@example.net', 'a@example.net', 'later@example.net', 'b@example.net'];
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe('rejected accepted deferred accepted');
    expect(server.received.transactions).toMatchObject([{ to: ['a@example.net', 'b@example.net'] }]);
  });
});
