/** What leaves in one write and what waits for a reply, replies in any number of packets, and servers that answer something else. */
import type net from 'node:net';
import { describe, expect, test } from 'vitest';
import { ehlo, sendTo, teller } from '../../support/smtp-teller.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

describe('with PIPELINING', () => {
  test('a transaction is two writes: all commands, and the message with its end', async () => {
    const told = await teller([ehlo, '250 ok\n250 ok\n250 ok\n354 go\n', '250 queued\n']);
    expect(await sendTo(told)).toBe('accepted accepted');
    expect(told.heard.slice(1, 3)).toEqual([
      'MAIL FROM:<sales@example.com>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n',
      'Subject: hello\r\n\r\nhello\r\n.\r\n',
    ]);
  });

  test('replies may come byte by byte, and have many lines', async () => {
    const told = await teller(
      [ehlo, '250-2.1.0 a\n250 b\n250 ok\n550-5.1.1 no\n550 5.1.1 such user\n354 go\n', '250 queued\n'],
      {
        byteByByte: true,
      },
    );
    expect(await sendTo(told)).toBe('accepted rejected');
  });

  test('a 354 without an accepted recipient gets an empty message (RFC 2920 section 3.1), and the session continues', async () => {
    const script = { RCPT: ['550 5.1.1 no', '450 4.2.0 later'], DATA: ['354 go on'] };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf({ to: ['a@example.net', 'b@example.net'] })))).toBe(
      'rejected deferred',
    );
    expect(server.received.transactions).toMatchObject([{ to: [] }]);
    expect(server.received.transactions[0]?.bytes.length).toBe(0);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.connections).toBe(1);
  });

  test('a 354 after a refused sender ends the connection without a message', async () => {
    const told = await teller([ehlo, '550 5.7.1 not you\n250 ok\n250 ok\n354 go\n']);
    expect(await sendTo(told)).toBe('rejected rejected');
    expect(told.heard.slice(2)).toEqual([]);
  });

  test.for<[string, string, string]>([
    ['the sender', '421 4.7.0 enough\n', 'suspect throttled'],
    ['a recipient', '250 ok\n550 5.1.1 no\n421 4.7.0 enough\n', 'rejected deferred'],
    ['DATA', '250 ok\n250 ok\n250 ok\n421 4.7.0 enough\n', 'suspect throttled'],
  ])(
    'a 421 to %s is read although it shares a packet with earlier replies and the connection ends right after it',
    async ([, said, expected]) => {
      const told = await teller([ehlo, said], { close: true });
      expect(await sendTo(told)).toBe(expected);
    },
  );

  test('a 421 to a recipient ends the transaction at once, even if the server neither answers further nor closes', async () => {
    const told = await teller([ehlo, '250 ok\n550 5.1.1 no\n421 4.7.0 enough\n']);
    const { transport } = await smtpPair({}, { port: told.port, timeouts: { commandMs: 600_000 } });
    const to = ['a@example.net', 'b@example.net', 'c@example.net'];
    // The third has its turn on a new session, where this server says the same again.
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe('rejected deferred rejected');
  });

  test.for<[string, string]>([
    ['the sender', '250-yes\n2 or so\n250 ok\n250 ok\n354 go\n'],
    ['a recipient', '250 ok\n250-yes\n550 or no\n250 ok\n354 go\n'],
    ['every recipient', '250 ok\n250-cut\n2\n250-cut\n2\n354 go\n'],
    ['DATA', '250 ok\n250 ok\n250 ok\n354-go\nor not\n'],
  ])('a server that neither accepts nor refuses %s gets no message, not even an empty one', async ([, said]) => {
    const told = await teller([ehlo, said, '250 queued\n']);
    expect(await sendTo(told)).toBe('deferred deferred');
    expect(told.heard.slice(2)).toEqual([]);
  });

  test('a refusal that is cut off leaves the result of a complete message uncertain', async () => {
    const told = await teller([ehlo, '250 ok\n250 ok\n250 ok\n354 go\n', '550 5.7.1 not'], { close: true });
    expect(await sendTo(told)).toBe('uncertain uncertain');
  });

  test('a refusal that is cut off before the message counts as a refusal', async () => {
    const told = await teller([ehlo, '550 5.7.1 not'], { close: true });
    expect(await sendTo(told)).toBe('rejected rejected');
  });

  test('an acceptance of the message counts although a 421 follows it, and the session ends', async () => {
    const told = await teller([ehlo, '250 ok\n250 ok\n250 ok\n354 go\n', '250 queued\n421 4.7.0 enough\n'], {
      close: true,
    });
    const { transport } = await smtpPair({}, { port: told.port });
    const to = ['a@example.net', 'b@example.net'];
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe('accepted accepted');
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe('accepted accepted');
    expect(told.connections).toBe(2);
  });

  test('a surplus acceptance is not taken for the reply to the next command', async () => {
    const told = await teller([
      ehlo,
      '250 ok\n250 ok\n354 go\n',
      '250 queued\n250 and queued\n',
      '250 ok\n550 5.1.1 no\n503 no\n',
    ]);
    const { transport } = await smtpPair({}, { port: told.port });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(told.connections).toBe(2);
  });

  test('an acceptance whose lines disagree leaves the result uncertain', async () => {
    const told = await teller([ehlo, '250 ok\n250 ok\n354 go\n', '250-queued\n550 or not\n']);
    expect(await sendTo(told, ['a@example.net'])).toBe('uncertain');
  });
});

describe('without PIPELINING', () => {
  test('each command waits for the reply to the one before', async () => {
    const told = await teller(['250 teller\n', '250 ok\n', '250 ok\n', '250 ok\n', '354 go\n', '250 queued\n']);
    expect(await sendTo(told)).toBe('accepted accepted');
    expect(told.heard.slice(1, 6)).toEqual([
      'MAIL FROM:<sales@example.com>\r\n',
      'RCPT TO:<a@example.net>\r\n',
      'RCPT TO:<b@example.net>\r\n',
      'DATA\r\n',
      'Subject: hello\r\n\r\nhello\r\n.\r\n',
    ]);
  });

  test('DATA is not sent without an accepted recipient, nor RCPT without an accepted sender', async () => {
    const nobody = await teller(['250 teller\n', '250 ok\n', '550 5.1.1 no\n']);
    expect(await sendTo(nobody, ['a@example.net'])).toBe('rejected');
    expect(nobody.heard.join('')).not.toContain('DATA');
    const refused = await teller(['250 teller\n', '550 5.7.1 not you\n']);
    expect(await sendTo(refused)).toBe('rejected rejected');
    expect(refused.heard.join('')).not.toContain('RCPT');
  });
});

test('a reply before any command, behind the reply to EHLO, ends the session', async () => {
  const told = await teller([`${ehlo}250 ok\n`, '250 ok\n250 ok\n354 go\n']);
  const { transport } = await smtpPair({}, { port: told.port });
  expect(summary(await sendBy(transport, mailOf()))).not.toContain('accepted');
  expect(told.heard.join('')).not.toContain('Subject');
});

test.for<[string, (socket: net.Socket) => void]>([
  ['ends', (socket) => socket.end()],
  ['is reset', (socket) => socket.resetAndDestroy()],
  ['says half a line', (socket) => socket.write('550 5.')],
  ['says goodbye', (socket) => socket.end('421 4.4.2 idle\r\n')],
])('an idle session that %s while the fence answers is noticed, and another one takes the message', async ([, act]) => {
  const told = await teller([
    ehlo,
    '250 ok\n250 ok\n354 go\n',
    '250 queued\n',
    '250 ok\n250 ok\n354 go\n',
    '250 queued\n',
  ]);
  const { transport } = await smtpPair({}, { port: told.port });
  expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  const fence = async (): Promise<boolean> => {
    act(told.sockets[0]!);
    // Both ends are in this process: a few turns of its event loop carry everything over.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return true;
  };
  expect(summary(await sendBy(transport, mailOf(), { fence }))).toBe('accepted');
  expect(told.connections).toBe(2);
});
