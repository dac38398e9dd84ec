/** What a fallback cannot carry is given back to its own connector, which alone may refuse it for good. */
import { expect, test } from 'vitest';
import { account, allOnce, countable, countableMany, settled, sink } from '../../support/accounting.ts';
import { after, startSender, switched } from '../../support/fallback.ts';
import { testProducer } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';
import type { OutboundMessage } from '../../../src/message/outbound.ts';
import type { ConnectorConfig } from '../../../src/worker/settings.ts';
import { until } from '../../../testkit/until.ts';
import type { SmtpServerOptions } from '../../../testkit/smtp/server.ts';

interface Case {
  readonly primary?: Partial<ConnectorConfig>;
  readonly standby?: Partial<ConnectorConfig>;
  readonly server?: SmtpServerOptions;
  readonly message: OutboundMessage;
}

const large = countable('odd', { text: 'x'.repeat(2_000) });
const extensions = ['PIPELINING', '8BITMIME'];
const limits = { concurrency: 5, messagesPerMinute: null };

/** A message that the fallback cannot carry, before and behind some that it can; their own connector is away. */
async function given({ primary = {}, standby = {}, server: options = {}, message }: Case) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { server, is } = await switched();
  const other = await sink(options);
  await startSender(prefix, {
    primary: { port: server.port, connector: { ...primary, fallback: after(0, 'standby') } },
    standby: { port: other.port, connector: standby },
  });
  await producer.sendMany([countable('before'), message, ...countableMany(20)]);
  const rest = await settled(producer, ['before', ...countableMany(20)], 20_000);
  return { producer, server, other, is, rest };
}

test.each<[string, Case]>([
  ['is larger than the connector may send', { standby: { limits: { ...limits, maxBytes: 1_500 } }, message: large }],
  ['is larger than its server takes', { server: { extensions: [...extensions, 'SIZE 1500'] }, message: large }],
  [
    'its server finds too large at the end',
    {
      server: {
        extensions,
        script: { '.': ({ to }) => (to[0]?.startsWith('odd') === true ? '552 5.3.4 too large' : undefined) },
      },
      message: large,
    },
  ],
  [
    'needs SMTPUTF8 for one recipient, which its server does not offer,',
    { server: { extensions }, message: countable('odd', { cc: 'öd@example.net' }) },
  ],
])(
  'a message that %s goes back, waits for its own connector, and holds up no other',
  async (_, { message, ...rest }) => {
    const { producer, server, other, is, rest: others } = await given({ ...rest, message });
    expect(new Set(others.map(({ connector }) => connector))).toEqual(new Set(['standby']));
    const row = await until(
      async () => {
        const now = await producer.status(message.id!);
        return now?.rule === 'kept' ? now : null;
      },
      { what: 'the message to be given back', timeoutMs: 20_000 },
    );
    expect(row).toMatchObject({ connector: 'primary', reason: null });
    is.away = false;
    const [own] = await settled(producer, [message], 20_000);
    expect(own).toMatchObject({ state: 'sent', connector: 'primary' });
    expect(account([...others, own!], [server, other])).toEqual(allOnce(22));
    const all = [server, other].flatMap(({ received }) =>
      received.transactions.flatMap(({ to, accepted }) => (accepted ? to : [])),
    );
    expect(all).toHaveLength(new Set(all).size);
    expect(all).toHaveLength(others.length + own!.recipients.length);
    // It was not moved a second time.
    expect(own!.history.filter(({ event }) => event === 'fallback')).toHaveLength(1);
  },
);

test('what its own connector cannot carry either is a dead letter of that one', async () => {
  const small = { limits: { ...limits, maxBytes: 1_500 } };
  const { producer, other, is } = await given({ primary: small, standby: small, message: large });
  is.away = false;
  const [row] = await settled(producer, ['odd'], 20_000);
  expect(row).toMatchObject({ state: 'dead', reason: 'too-large', connector: 'primary' });
  expect(other.received.transactions).toHaveLength(21);
});

test('what the server of a fallback refuses for good is a dead letter there, and is not tried elsewhere', async () => {
  const { producer, server, is } = await given({
    server: { script: { RCPT: ({ line }) => (line.includes('odd') ? '550 5.1.1 no such user' : undefined) } },
    message: large,
  });
  const [row] = await settled(producer, ['odd'], 20_000);
  expect(row).toMatchObject({ state: 'dead', reason: 'rejected', connector: 'standby' });
  is.away = false;
  expect(server.received.transactions).toHaveLength(0);
});
