/** Whatever a server says at any step of any transaction, an attempt gives each recipient one outcome and at most one copy. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import type { Outcome } from '../../../src/transport/transport.ts';
import { startSmtpServer, type SmtpAnswer, type SmtpServer } from '../../../testkit/smtp/server.ts';
import { smtpSettings } from '../../../testkit/smtp/settings.ts';
import { mailOf, sendBy } from '../../support/smtp-client.ts';

const refusals = [
  '452 4.5.3 Too many recipients',
  '552 5.5.3 too many recipients in this message',
  '451 4.3.0 Multiple destination domains per transaction is unsupported',
  '452 Too many messages sent in this session',
  '421 4.7.0 too many messages in this session',
  '555 5.5.4 unsupported parameter',
  '501 5.5.4 invalid SIZE parameter',
  '503 5.5.0 improper use of pipelining',
  '554 5.6.3 8BITMIME is not supported by the next hop',
  '550 5.1.1 no such user',
  '450 4.2.0 later',
  '421 4.3.2 shutting down',
  '550 5.4.5 daily limit exceeded',
] as const;
const answers = fc.oneof(
  { weight: 6, arbitrary: fc.constant<SmtpAnswer | undefined>(undefined) },
  { weight: 5, arbitrary: fc.constantFrom<SmtpAnswer>(...refusals) },
  { weight: 1, arbitrary: fc.constantFrom<SmtpAnswer>('close', 'reset', '250-cut\n2', 'what?', '354 go') },
);
/** One list of answers per verb; after its end the server behaves. */
const script = fc.record({
  CONNECT: fc.array(fc.constantFrom<SmtpAnswer | undefined>(undefined, undefined, undefined, '421 busy', 'reset'), {
    maxLength: 4,
  }),
  MAIL: fc.array(answers, { maxLength: 6 }),
  RCPT: fc.array(answers, { maxLength: 30 }),
  DATA: fc.array(answers, { maxLength: 6 }),
  '.': fc.array(answers, { maxLength: 6 }),
});
const bytes = Buffer.from(
  'From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n',
);

function copiesOf(server: SmtpServer): Map<string, number> {
  const copies = new Map<string, number>();
  for (const { to, accepted } of server.received.transactions) {
    if (accepted) for (const address of to) copies.set(address, (copies.get(address) ?? 0) + 1);
  }
  return copies;
}

function problemsOf(outcome: Outcome, to: readonly string[], server: SmtpServer): string[] {
  const copies = copiesOf(server);
  const problems = [...copies].flatMap(([address, count]) => (count > 1 ? [`${address} has ${count} copies`] : []));
  if (server.received.connections > 20) problems.push(`${server.received.connections} connections`);
  if (server.received.transactions.length > to.length + 15) problems.push('too many transactions');
  if (outcome.kind !== 'settled')
    return [...problems, ...[...copies.keys()].map((address) => `${address} has a copy that no outcome names`)];
  if (outcome.recipients.map(({ address }) => address).join() !== to.join())
    problems.push('not each recipient once, in order');
  for (const { address, outcome: said } of outcome.recipients) {
    const has = copies.has(address);
    if (said === 'accepted' && !has) problems.push(`${address} is said to be accepted`);
    if (said !== 'accepted' && said !== 'uncertain' && has) problems.push(`${address} has a copy, and is ${said}`);
  }
  return problems;
}

test('each recipient has one outcome and at most one copy, and the attempt a bounded number of transactions', async () => {
  const inputs = fc.record({
    script,
    count: fc.integer({ min: 1, max: 9 }),
    domains: fc.integer({ min: 1, max: 2 }),
    pipelining: fc.boolean(),
    before: fc.boolean(),
    limit: fc.option(fc.integer({ min: 1, max: 4 })),
  });
  await fc.assert(
    fc.asyncProperty(inputs, async ({ script: scripted, count, domains, pipelining, before, limit }) => {
      let isOn = !before;
      const uses = new Map<string, number>();
      const entry = (verb: keyof typeof scripted) => () => {
        if (!isOn) return undefined;
        const at = uses.get(verb) ?? 0;
        uses.set(verb, at + 1);
        return scripted[verb][at];
      };
      const server = await startSmtpServer({
        extensions: ['8BITMIME', 'SMTPUTF8', 'SIZE 50000000', ...(pipelining ? ['PIPELINING'] : [])],
        script: {
          CONNECT: entry('CONNECT'),
          MAIL: entry('MAIL'),
          RCPT: entry('RCPT'),
          DATA: entry('DATA'),
          '.': entry('.'),
        },
      });
      const transport = createSmtpTransport({
        settings: smtpSettings(server.port),
        hostname: 'client.test',
        maxConnections: 2,
        serverLimits: { recipientsPerTransaction: limit, messagesPerSession: null },
      });
      try {
        // So that the session has carried a message.
        if (before) await sendBy(transport, mailOf({ to: ['first@example.org'], id: 'first' }));
        server.received.transactions.length = 0;
        isOn = true;
        const to = Array.from({ length: count }, (_, at) => `user${at}@example${at % domains}.net`);
        const outcome = await sendBy(transport, mailOf({ to, bytes, id: 'm' }));
        expect(problemsOf(outcome, to, server)).toEqual([]);
      } finally {
        await transport.close();
        await server.stop();
      }
    }),
    { numRuns: 200 },
  );
});
