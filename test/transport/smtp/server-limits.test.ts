/** A server's limits of a transaction, a session or a parameter: the mail is sent in another way at once, and no recipient gets it twice. */
import { describe, expect, test } from 'vitest';
import { nextOf } from '../../../src/transport/smtp/legs.ts';
import { SmtpFailure } from '../../../src/transport/smtp/failure.ts';
import { parseReply } from '../../../src/transport/smtp/replies.ts';
import { createServerLimits } from '../../../src/transport/smtp/server-limits.ts';
import { endsSessionOnly, listLimitOf, refusedParameters } from '../../../src/transport/smtp/transaction-limits.ts';
import type { SmtpAnswer, SmtpContext, SmtpServer } from '../../../testkit/smtp/server.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const people = (count: number, domain = 'example.net'): string[] =>
  Array.from({ length: count }, (_, at) => `user${at}@${domain}`);
const accepted = (count: number): string => Array<string>(count).fill('accepted').join(' ');

/** Who got a copy, of all transactions. */
function copies(server: SmtpServer): string[] {
  return server.received.transactions.filter((one) => one.accepted).flatMap(({ to }) => to);
}

const sizes = (server: SmtpServer): number[] =>
  server.received.transactions.filter((one) => one.accepted).map(({ to }) => to.length);

/** Takes so many recipients in a transaction, and says this to the others. */
const atMost =
  (count: number, reply: string) =>
  ({ to }: SmtpContext) =>
    to.length < count ? undefined : reply;

describe('too many recipients', () => {
  test.for([
    '452 4.5.3 Too many recipients',
    '552 5.5.3 too many recipients',
    '554 Too many recipients in this message',
    '451 4.5.3 Error: recipient limit exceeded',
    '550 maximum number of recipients per message reached',
  ])('said at RCPT as "%s": the rest goes in transactions of their own, in the same session', async (reply) => {
    const { server, transport } = await smtpPair({ script: { RCPT: atMost(3, reply) } });
    const to = people(8);
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe(accepted(8));
    expect(copies(server)).toEqual(to);
    expect([sizes(server), server.received.connections]).toEqual([[3, 3, 2], 1]);
  });

  test('are not offered again by the next message: the number is known by then', async () => {
    const { server, transport } = await smtpPair({ script: { RCPT: atMost(3, '452 4.5.3 Too many recipients') } });
    await sendBy(transport, mailOf({ to: people(4) }));
    const before = server.received.commands.filter((line) => line.startsWith('RCPT')).length;
    await sendBy(transport, mailOf({ to: people(6), id: 'm2' }));
    expect(server.received.commands.filter((line) => line.startsWith('RCPT'))).toHaveLength(before + 6);
    expect(sizes(server)).toEqual([3, 1, 3, 3]);
  });

  test.for([
    ['DATA', '554 5.5.3 Too many recipients'],
    ['.', '552 Too many recipients for one message'],
    ['.', '452 4.5.3 too many recipients'],
  ])(
    'said at %s as "%s": no recipient has it yet, and it is sent in smaller transactions',
    async ([verb = '', reply = '']) => {
      const script = { [verb]: ({ to }: SmtpContext) => (to.length > 2 ? reply : undefined) };
      const { server, transport } = await smtpPair({ script });
      const to = people(8);
      expect(summary(await sendBy(transport, mailOf({ to })))).toBe(accepted(8));
      expect(copies(server)).toEqual(to);
      expect(sizes(server)).toEqual([2, 2, 2, 2]);
    },
  );

  test('each of 100 recipients has the outcome that is its own, though 30 fit into a transaction', async () => {
    const script = {
      RCPT: ({ line, to }: SmtpContext) => {
        if (line.includes('user40@') || line.includes('user99@')) return '550 5.1.1 no such user';
        if (line.includes('user41@')) return '450 4.2.0 later';
        return to.length < 30 ? undefined : '452 4.5.3 too many recipients';
      },
    };
    const { server, transport } = await smtpPair({ script });
    const to = people(100);
    const outcomes = summary(await sendBy(transport, mailOf({ to }))).split(' ');
    expect([outcomes[40], outcomes[99], outcomes[41]]).toEqual(['rejected', 'rejected', 'deferred']);
    expect(outcomes.filter((outcome) => outcome === 'accepted')).toHaveLength(97);
    expect(new Set(copies(server)).size).toBe(97);
    expect(copies(server)).toHaveLength(97);
  });

  test('said to a single recipient is that recipient’s refusal', async () => {
    const { server, transport } = await smtpPair({ script: { RCPT: () => '452 4.5.3 Too many recipients' } });
    expect(summary(await sendBy(transport, mailOf({ to: people(3) })))).toBe('deferred deferred deferred');
    expect(server.received.transactions).toEqual([]);
  });

  test('one domain at a time: each domain gets a transaction, and the number of recipients is not limited', async () => {
    const domainOf = (address: string): string => address.split('@')[1] ?? '';
    const script = {
      RCPT: ({ line, to }: SmtpContext) =>
        to[0] === undefined || line.includes(`@${domainOf(to[0])}`)
          ? undefined
          : '451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.',
    };
    const { server, transport } = await smtpPair({ script });
    const to = [...people(3, 'one.example'), ...people(3, 'two.example')];
    expect(summary(await sendBy(transport, mailOf({ to })))).toBe(accepted(6));
    expect(sizes(server)).toEqual([3, 3]);
    await sendBy(transport, mailOf({ to: people(5, 'one.example'), id: 'm2' }));
    expect(sizes(server)).toEqual([3, 3, 5]);
  });

  test('with a limit that is configured, no recipient is refused', async () => {
    const { server, transport } = await smtpPair(
      { script: { RCPT: atMost(3, '452 4.5.3 Too many recipients') } },
      {},
      2,
      { recipientsPerTransaction: 3, messagesPerSession: null },
    );
    expect(summary(await sendBy(transport, mailOf({ to: people(7) })))).toBe(accepted(7));
    expect(server.received.commands.filter((line) => line.startsWith('RCPT'))).toHaveLength(7);
  });

  test('a connection that is lost after some have their copy leaves the others for the next attempt, and no uncertain copy', async () => {
    let dots = 0;
    const script = {
      RCPT: atMost(2, '452 4.5.3 Too many recipients'),
      MAIL: () => (dots >= 1 ? 'close' : undefined),
      '.': () => {
        dots += 1;
        return undefined;
      },
    };
    const { server, transport } = await smtpPair({ script });
    const outcome = await sendBy(transport, mailOf({ to: people(4) }));
    expect(summary(outcome)).toBe('accepted accepted deferred deferred');
    expect(copies(server)).toEqual(people(2));
  });

  test('a server that refuses every list ends the attempt after a bounded number of transactions', async () => {
    const script = { '.': () => '552 5.5.3 Too many recipients' };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf({ to: people(64) })))).not.toContain('accepted');
    expect(server.received.transactions.length).toBeLessThanOrEqual(64 + 7);
  });
});

describe('a recipient at whom the server ends the session', () => {
  const at = (poison: readonly string[], answer: SmtpAnswer) => ({
    RCPT: ({ line }: SmtpContext) => (poison.some((name) => line.includes(`${name}@`)) ? answer : undefined),
  });

  test.for<[string, SmtpAnswer, readonly string[]]>([
    ['421, first of five', '421 4.7.0 go away', ['user0']],
    ['421, in the middle', '421 4.7.0 go away', ['user2']],
    ['421, last', '421 4.7.0 go away', ['user4']],
    ['a close without a word, first', 'close', ['user0']],
    ['a close without a word, in the middle', 'close', ['user2']],
    ['a reset without a word, last', 'reset', ['user4']],
    ['421, three of five', '421 4.7.0 go away', ['user0', 'user2', 'user4']],
  ])('with %s: the others have one copy at once, and it is deferred', async ([, answer, poison]) => {
    const { server, transport } = await smtpPair({ script: at(poison, answer) });
    const to = people(5);
    const outcome = await sendBy(transport, mailOf({ to }));
    const expected = to.map((address) =>
      poison.some((name) => address.startsWith(`${name}@`)) ? 'deferred' : 'accepted',
    );
    expect(summary(outcome)).toBe(expected.join(' '));
    expect(outcome).not.toHaveProperty('slowDownMs');
    expect(copies(server)).toEqual(to.filter((_, index) => expected[index] === 'accepted'));
  });

  test.for(['550 5.5.3 Too many recipients', '552 Recipient count exceeded', '452 4.5.3 Too many recipients'])(
    'behind those refused for their number (%s): each has the outcome that is its own',
    async (reply) => {
      const RCPT = ({ line, to }: SmtpContext): SmtpAnswer | undefined => {
        if (/user(?:3|19)@/.test(line)) return '550 5.1.1 unknown user';
        if (line.includes('user15@')) return '421 4.7.0 go away';
        return to.length < 10 ? undefined : reply;
      };
      const { server, transport } = await smtpPair({ script: { RCPT } });
      const to = people(40);
      const expected = to.map((_, at) => (at === 15 ? 'deferred' : [3, 19].includes(at) ? 'rejected' : 'accepted'));
      expect(summary(await sendBy(transport, mailOf({ to })))).toBe(expected.join(' '));
      expect(copies(server).toSorted()).toEqual(to.filter((_, at) => expected[at] === 'accepted').toSorted());
    },
  );

  test('of more than three, no further one is tried in the same attempt', async () => {
    const { server, transport } = await smtpPair({ script: { RCPT: () => '421 4.7.0 go away' } });
    expect(summary(await sendBy(transport, mailOf({ to: people(50) })))).toBe('suspect throttled');
    expect(server.received.connections).toBeLessThanOrEqual(4);
  });

  test('a server that goes away at that moment is a fault of the connector, and burns nothing', async () => {
    let gone = false;
    const script = {
      CONNECT: () => (gone ? 'reset' : undefined),
      RCPT: ({ line }: SmtpContext) => {
        gone = line.includes('user2@');
        return gone ? 'reset' : undefined;
      },
    };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf({ to: people(5) })))).toBe('fault unreachable');
    expect(copies(server)).toEqual([]);
  });
});

describe('too many messages in a session', () => {
  test.for([
    '452 4.5.0 Too many messages sent',
    '421 4.7.0 Too many messages in this session',
    '550 5.7.0 max number of messages per session. Open a new session',
    '451 messages per connection limit reached',
    '554 Session message limit exceeded, please reconnect',
    '450 4.7.1 Session limit: 10 messages',
    '452 4.7.0 Connection message quota reached',
  ])('said at MAIL as "%s": the next session takes the mail at once, and the number is known', async (reply) => {
    const used = new Map<number, number>();
    const script = {
      MAIL: ({ connection }: SmtpContext) => {
        const count = (used.get(connection) ?? 0) + 1;
        used.set(connection, count);
        return count > 3 ? reply : undefined;
      },
    };
    const { server, transport } = await smtpPair({ script }, {}, 1);
    for (let at = 0; at < 12; at += 1) {
      expect(summary(await sendBy(transport, mailOf({ id: `m${at}` })))).toBe('accepted');
    }
    expect(server.received.transactions).toHaveLength(12);
    // 421 is a closed session like any other, which says nothing of a number.
    const refusals = [...used.values()].filter((count) => count > 3).length;
    expect(refusals).toBeLessThanOrEqual(reply.startsWith('421') ? 3 : 1);
  });

  /** Refuses every recipient of a session after the first `limit`. */
  const recipientsPerSession = (limit: number, answer: string) => {
    const used = new Map<number, number>();
    return ({ connection }: SmtpContext) => {
      const count = (used.get(connection) ?? 0) + 1;
      used.set(connection, count);
      return count > limit ? answer : undefined;
    };
  };

  test.for(['450 Too many recipient attempts', '452 4.5.3 too many recipients in this session'])(
    'a limit of all recipients of a session (%s): one message to twenty of them, and then ten messages, all arrive at once',
    async (answer) => {
      const { server, transport } = await smtpPair({ script: { RCPT: recipientsPerSession(7, answer) } }, {}, 1);
      const outcome = await sendBy(transport, mailOf({ to: people(20) }));
      expect(new Set(summary(outcome).split(' '))).toEqual(new Set(['accepted']));
      for (let at = 0; at < 10; at += 1) {
        expect(summary(await sendBy(transport, mailOf({ id: `m${at}` })))).toBe('accepted');
      }
      const taken = server.received.transactions.flatMap(({ to }) => to);
      expect(taken).toHaveLength(30);
    },
  );

  test.for([
    ['450 Feierabend', ['accepted', 'accepted', 'accepted', 'deferred']],
    // The next message's success would make this one's refusal its own.
    ['550 Feierabend', ['accepted', 'accepted', 'accepted', 'accepted']],
  ] as const)(
    'in words that no rule knows (%s): the next message gets a new session, and after a permanent refusal this one does',
    async ([answer, expected]) => {
      const { server, transport } = await smtpPair({ script: { RCPT: recipientsPerSession(3, answer) } }, {}, 1);
      const summaries: string[] = [];
      for (let at = 0; at < 8; at += 1) summaries.push(summary(await sendBy(transport, mailOf({ id: `m${at}` }))));
      expect(summaries).toEqual([...expected, ...expected]);
      expect(server.received.connections).toBe(answer.startsWith('4') ? 2 : 3);
    },
  );

  test('a permanent refusal by a new session as well is the answer', async () => {
    const RCPT = ({ line }: SmtpContext) => (line.includes('bad') ? '550 Feierabend' : undefined);
    const { server, transport } = await smtpPair({ script: { RCPT } }, {}, 1);
    const outcomes: string[] = [];
    for (const to of ['a', 'bad', 'b']) {
      outcomes.push(summary(await sendBy(transport, mailOf({ to: [`${to}@example.net`] }))));
    }
    expect(outcomes).toEqual(['accepted', 'rejected', 'accepted']);
    expect(server.received.commands.filter((line) => line.includes('bad@'))).toHaveLength(2);
  });

  test('a refusal that names a time is not asked again on a new session: the time is kept', async () => {
    const MAIL = ({ line }: SmtpContext) =>
      line.includes('late@') ? '550 Too many messages. Try again in 92 seconds' : undefined;
    const { server, transport } = await smtpPair({ script: { MAIL } }, {}, 1);
    await sendBy(transport, mailOf());
    const outcome = await sendBy(transport, mailOf({ from: 'late@example.com' }));
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'deferred', retryAfterMs: 92_000 }] });
    expect(server.received.commands.filter((line) => line.includes('late@'))).toHaveLength(1);
  });

  test('a refusal that names its recipient does not cost the session', async () => {
    const RCPT = ({ line }: SmtpContext) => (line.includes('nobody') ? '550 5.1.1 no such user' : undefined);
    const { server, transport } = await smtpPair({ script: { RCPT } }, {}, 1);
    for (const to of ['a', 'nobody', 'b', 'nobody', 'c']) {
      await sendBy(transport, mailOf({ to: [`${to}@example.net`] }));
    }
    expect(server.received.connections).toBe(1);
    expect(server.received.transactions).toHaveLength(3);
  });

  test('said to the first message of a session is no limit of the session', async () => {
    const { server, transport } = await smtpPair({ script: { MAIL: () => '452 4.5.0 Too many messages sent' } });
    expect(summary(await sendBy(transport, mailOf()))).not.toBe('accepted');
    expect(server.received.connections).toBe(1);
  });
});

const eightBit = Buffer.from(
  'From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n',
);

describe('a parameter that is offered and refused', () => {
  test.for([
    '555 5.5.4 Unsupported option: BODY=8BITMIME',
    '501 5.5.4 Unsupported mail BODY type',
    '500 5.5.2 command parameter unrecognized: BODY',
    '504 5.5.4 parameter not implemented',
    '550 8BITMIME is not supported by the next hop',
  ])('at MAIL, "%s": the content is sent in 7 bits instead, and the next message at once so', async (reply) => {
    const script = { MAIL: ({ line }: SmtpContext) => (line.includes('8BITMIME') ? reply : undefined) };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf({ bytes: eightBit })))).toBe('accepted');
    expect(server.received.transactions[0]?.bytes.toString('latin1')).toContain('gr=C3=BCn');
    await sendBy(transport, mailOf({ bytes: eightBit, id: 'm2' }));
    expect(server.received.commands.filter((line) => line.includes('8BITMIME'))).toHaveLength(1);
    expect(server.received.connections).toBe(1);
  });

  test('at the end of data, for the next hop: the content is sent in 7 bits, for this message only', async () => {
    let refused = 0;
    const script = {
      '.': () => ((refused += 1) === 1 ? '554 5.6.3 8BITMIME conversion is not supported by the next hop' : undefined),
    };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf({ bytes: eightBit })))).toBe('accepted');
    expect(server.received.transactions.map((one) => one.accepted)).toEqual([false, true]);
    await sendBy(transport, mailOf({ bytes: eightBit, id: 'm2' }));
    expect(server.received.transactions.at(-1)?.parameters.join()).toContain('8BITMIME');
  });

  test('SIZE: it is left out', async () => {
    const script = {
      MAIL: ({ line }: SmtpContext) => (line.includes('SIZE') ? '501 5.5.4 Invalid arguments' : undefined),
    };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.transactions[0]?.parameters).toEqual([]);
  });

  test('SMTPUTF8 for a header: it is written in ASCII; for an address: the refusal stands, and later mail is not judged by it', async () => {
    const script = {
      MAIL: ({ line }: SmtpContext) => (line.includes('SMTPUTF8') ? '555 5.6.7 SMTPUTF8 not supported' : undefined),
    };
    const { server, transport } = await smtpPair({ script });
    const bytes = Buffer.from('From: a@example.com\r\nSubject: grün\r\n\r\nhello\r\n');
    expect(summary(await sendBy(transport, mailOf({ bytes })))).toBe('accepted');
    expect(server.received.transactions[0]?.bytes.toString()).toContain('Subject: =?');
    expect(summary(await sendBy(transport, mailOf({ to: ['grün@example.net'], id: 'm2' })))).toBe('rejected');
    expect(server.received.commands.filter((line) => line.includes('SMTPUTF8'))).toHaveLength(2);
  });

  test('PIPELINING: the commands wait for their replies, on a new session', async () => {
    const script = { MAIL: [], DATA: ['503 5.5.0 Error: improper use of SMTP command pipelining'] };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.connections).toBe(2);
  });

  test('a bad address that is refused with 501 is refused in the end, and nothing is learned from it', async () => {
    const script = { MAIL: () => '501 5.1.7 Bad sender address syntax' };
    const { server, transport } = await smtpPair({ script });
    expect(summary(await sendBy(transport, mailOf()))).toBe('rejected');
    expect(server.received.commands.filter((line) => line.startsWith('MAIL')).length).toBeLessThanOrEqual(3);
  });
});

test('what was learned from one reply is forgotten after an hour, and what is configured is not', () => {
  let time = 0;
  const limits = createServerLimits({ recipientsPerTransaction: 50, messagesPerSession: null }, () => time);
  const offered = {
    eightBitMime: true,
    smtpUtf8: true,
    size: true,
    pipelining: true,
    dsn: true,
    maxBytes: null,
    authMechanisms: null,
  };
  limits.foundRecipients(1);
  limits.foundMessages(3);
  limits.foundRefused(['eightBitMime']);
  expect([limits.recipientsPerTransaction, limits.messagesPerSession]).toEqual([1, 3]);
  expect(limits.usable(offered)).toEqual({ ...offered, eightBitMime: false });
  time = 3_600_000;
  expect([limits.recipientsPerTransaction, limits.messagesPerSession]).toEqual([50, null]);
  expect(limits.usable(offered)).toEqual(offered);
  limits.foundRecipients(70);
  expect(limits.recipientsPerTransaction).toBe(50);
});

describe('words', () => {
  test.for([
    '452 4.5.3 Too many recipients today',
    '550 5.4.5 Daily recipient limit exceeded',
    '452 too many recipients in the last hour',
    '550 Too many invalid recipients',
    '550 5.1.1 User unknown',
    '250 too many recipients',
  ])('"%s" is no limit of a transaction', (reply) => expect(listLimitOf(parseReply(reply))).toBeNull());

  test.for([
    '452 Too many messages per hour',
    '421 too many connections',
    '550 message refused',
    '421 connection rate limit exceeded',
    '451 reconnect in 10 minutes',
  ])('"%s" is no limit of a session', (reply) => expect(endsSessionOnly(parseReply(reply))).toBe(false));

  test.for([
    ['552 5.3.4 Message size exceeds fixed limit', 'mail'],
    ['552 message size not allowed', 'end-of-data'],
    ['550 5.7.1 rejected as spam', 'end-of-data'],
  ] as const)('"%s" at %s refuses no parameter', ([reply, phase]) =>
    expect(refusedParameters(phase, parseReply(reply), ['size', 'eightBitMime', 'pipelining'])).toEqual([]),
  );

  test('what was sent whole without an answer is never sent anew in the same attempt', () => {
    const failure = new SmtpFailure('end-of-data', { code: 'ECONNRESET', text: 'too many recipients' });
    const transaction = {
      mailTaken: true,
      taken: new Set(['a@b']),
      refused: new Map(),
      failure,
      reply: null,
      body: 'complete',
    } as const;
    const leg = { to: ['a@b', 'c@d'], refusedHere: new Map(), transaction };
    expect(nextOf({ leg, reused: true, messages: 9, used: ['size', 'pipelining'] })).toEqual({ kind: 'done' });
  });
});
