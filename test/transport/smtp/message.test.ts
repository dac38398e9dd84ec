/** What is on the wire: the bytes, the envelope and the extensions, and nothing that a hostile address asks for. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const eightBit = Buffer.from(
  'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n',
);

describe('the message', () => {
  test.for<[string, Buffer]>([
    ['dots at the beginning of lines', Buffer.from('Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nx\r\n.\r\n')],
    ['no line end at the end', Buffer.from('Subject: x\r\n\r\nlast')],
    ['one megabyte', Buffer.from(`Subject: x\r\n\r\n${'.0123456789'.repeat(7)}\r\n`.repeat(13_000))],
    ['nothing but a header', Buffer.from('Subject: x\r\n\r\n')],
  ])('arrives byte for byte with %s', async ([, bytes]) => {
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf({ bytes })))).toBe('accepted');
    const ended = bytes.at(-1) === 0x0a ? bytes : Buffer.concat([bytes, Buffer.from('\r\n')]);
    expect(server.received.transactions[0]?.bytes.equals(ended)).toBe(true);
  });

  test('attack: does not end at a dot between bare line feeds (SMTP smuggling)', async () => {
    const evil =
      'Subject: x\r\n\r\nhello\n.\nMAIL FROM:<evil@example.com>\r.\rRCPT TO:<victim@example.net>\n.\r\nDATA\r\n';
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf({ bytes: Buffer.from(evil) })))).toBe('accepted');
    expect(server.received.transactions).toHaveLength(1);
    expect(server.received.commands.filter((line) => line.includes('evil'))).toEqual([]);
  });

  test('never opens a path or URL that it names', async () => {
    const asked: string[] = [];
    const { server, transport } = await smtpPair({ script: { CONNECT: ({ line }) => void asked.push(line) } });
    const bytes = Buffer.from(
      `Content-Type: message/external-body; access-type=URL; URL="http://127.0.0.1:${server.port}/x"\r\nX: {"path":"/etc/passwd"}\r\n\r\n`,
    );
    expect(summary(await sendBy(transport, mailOf({ bytes })))).toBe('accepted');
    expect(server.received.transactions[0]?.bytes.equals(bytes)).toBe(true);
    expect(asked).toHaveLength(1);
  });

  test('is sent with the null reverse-path, and with the configured name for EHLO', async () => {
    const { server, transport } = await smtpPair();
    await sendBy(transport, mailOf({ from: '' }));
    expect(server.received.commands.slice(0, 2)).toEqual(['EHLO client.test', expect.stringMatching(/^MAIL FROM:<> /)]);
    expect(server.received.transactions[0]?.from).toBe('');
  });
});

describe('SIZE', () => {
  test('is declared', async () => {
    const { server, transport } = await smtpPair();
    const { bytes } = mailOf();
    await sendBy(transport, mailOf({ bytes }));
    expect(server.received.transactions[0]?.parameters).toEqual([`SIZE=${bytes.length}`]);
  });

  test('above the server’s limit sends nothing, and every recipient gets the reason', async () => {
    const { server, transport } = await smtpPair({ extensions: ['SIZE 20', 'PIPELINING'] });
    const outcome = await sendBy(transport, mailOf({ to: ['a@example.net', 'b@example.net'] }));
    expect(outcome).toMatchObject({
      recipients: [
        { outcome: 'rejected', tooLarge: true },
        { outcome: 'rejected', tooLarge: true },
      ],
    });
    expect(server.received.commands).toEqual(['EHLO client.test']);
  });

  test('of 0, or without a number, sets no limit', async () => {
    for (const extensions of [['SIZE 0'], ['SIZE']]) {
      const { transport } = await smtpPair({ extensions });
      expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    }
  });
});

describe('8BITMIME', () => {
  test('that is offered lets 8-bit bytes pass unchanged, and declares them', async () => {
    const { server, transport } = await smtpPair({ extensions: ['8BITMIME'] });
    await sendBy(transport, mailOf({ bytes: eightBit }));
    const [arrived] = server.received.transactions;
    expect(arrived?.parameters).toContain('BODY=8BITMIME');
    expect(arrived?.bytes.equals(eightBit)).toBe(true);
  });

  test('that is not offered makes the message 7-bit without changing its meaning', async () => {
    const { server, transport } = await smtpPair({ extensions: [] });
    await sendBy(transport, mailOf({ bytes: eightBit }));
    const [arrived] = server.received.transactions;
    expect(arrived?.parameters).toEqual([]);
    expect(arrived?.bytes.every((byte) => byte < 0x80)).toBe(true);
    expect(arrived?.bytes.toString()).toContain('Gr=C3=BC=C3=9Fe');
  });

  test('is not declared for 7-bit bytes', async () => {
    const { server, transport } = await smtpPair({ extensions: ['8BITMIME'] });
    await sendBy(transport, mailOf());
    expect(server.received.transactions[0]?.parameters).toEqual([]);
  });

  test('is not used with a server that knows only HELO', async () => {
    const { server, transport } = await smtpPair({ script: { EHLO: '502 5.5.1 what?' } });
    expect(summary(await sendBy(transport, mailOf({ bytes: eightBit })))).toBe('accepted');
    expect(server.received.transactions[0]?.parameters).toEqual([]);
    expect(server.received.transactions[0]?.bytes.every((byte) => byte < 0x80)).toBe(true);
  });
});

describe('SMTPUTF8', () => {
  test('that is offered sends a local part beyond ASCII unchanged, and declares it', async () => {
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf({ to: ['jürgen@example.net'] })))).toBe('accepted');
    expect(server.received.transactions).toMatchObject([{ to: ['jürgen@example.net'] }]);
    expect(server.received.transactions[0]?.parameters).toContain('SMTPUTF8');
  });

  test('that is not offered refuses only the recipients that need it', async () => {
    const { server, transport } = await smtpPair({ extensions: [] });
    const outcome = await sendBy(transport, mailOf({ to: ['a@example.net', 'jürgen@example.net', 'b@example.net'] }));
    expect(summary(outcome)).toBe('accepted rejected accepted');
    expect(JSON.stringify(outcome)).toContain('SMTPUTF8');
    expect(server.received.transactions).toMatchObject([{ to: ['a@example.net', 'b@example.net'] }]);
  });

  test('that is not offered refuses every recipient of a sender that needs it, and keeps the session', async () => {
    const { server, transport } = await smtpPair({ extensions: [] });
    expect(summary(await sendBy(transport, mailOf({ from: 'jürgen@example.com' })))).toBe('rejected');
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.connections).toBe(1);
  });
});

describe('attack: command injection', () => {
  test.for([
    'a@example.net>\r\nRCPT TO:<evil@example.net',
    'a@example.net\r\nDATA',
    'a@example.net\nRSET',
    'a@example.net\rRSET',
    'a@example.net> NOTIFY=NEVER',
    'a@example.net NOTIFY=NEVER',
    'a@example.net\u0000',
    'a@example.net\u2028RSET',
    '<a@example.net',
    '',
  ])('through a recipient is refused before the wire: %j', async (evil) => {
    const { server, transport } = await smtpPair();
    expect(summary(await sendBy(transport, mailOf({ to: ['a@example.net', evil] })))).toBe('accepted rejected');
    expect(server.received.commands).toEqual([
      'EHLO client.test',
      expect.stringMatching(/^MAIL FROM:<sales@example.com> SIZE=\d+$/),
      'RCPT TO:<a@example.net>',
      'DATA',
    ]);
  });

  test.for(['x@example.com> SIZE=1\r\nRSET', 'x@example.com>\r\nRCPT TO:<evil@example.net', 'x@example.com AUTH=<>'])(
    'through the sender is refused before the wire: %j',
    async (from) => {
      const { server, transport } = await smtpPair();
      expect(summary(await sendBy(transport, mailOf({ from })))).toBe('rejected');
      expect(server.received.connections).toBe(0);
    },
  );

  test('is impossible with any text: there is one RCPT per accepted recipient, and no further line', async () => {
    const { server, transport } = await smtpPair({ extensions: ['SMTPUTF8', '8BITMIME'] });
    const hostile = fc.string({
      unit: fc.constantFrom('a', '@', '.', '<', '>', '\r', '\n', ' ', ':', '"', '\\', 'ü', '\u0085', '\u2028'),
    });
    const found = await fc.check(
      fc.asyncProperty(fc.array(hostile, { minLength: 1, maxLength: 5 }), async (to) => {
        const before = server.received.commands.length;
        const outcome = await sendBy(transport, mailOf({ to }));
        const addresses = outcome.kind === 'settled' ? outcome.recipients.map(({ address }) => address) : [];
        const lines = server.received.commands
          .slice(before)
          .filter((line) => !/^(?:EHLO|MAIL|DATA|RSET|QUIT)/.test(line));
        const once = JSON.stringify(addresses) === JSON.stringify([...new Set(to)]);
        return once && lines.every((line) => /^RCPT TO:<[^<>]+>$/.test(line));
      }),
      { numRuns: 100 },
    );
    expect(found.counterexample).toBeNull();
  });
});
