/** One message to twenty recipients with three kinds of replies: each recipient gets its own outcome and at most one copy. */
import { expect, test } from 'vitest';
import { copiesOf, settled } from '../support/accounting.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { serverFor, startSender } from '../support/smtp-sender.ts';

const recipients = Array.from({ length: 20 }, (_, i) => `r${i}@example.net`);
const later = 'r7@example.net';
const never = 'r13@example.net';

test.for<[string, readonly string[]]>([
  ['with PIPELINING', ['PIPELINING']],
  ['without PIPELINING', []],
])(
  'of 20 recipients, 18 get one copy at once, the one deferred three times gets one later, and the rejected one is a dead letter (%s)',
  async ([, extensions]) => {
    const prefix = testPrefix();
    let refusals = 0;
    const relay = await serverFor('relay', {
      extensions,
      script: {
        RCPT: ({ line }) => {
          if (line.includes(never)) return '550 5.1.1 no such user';
          if (!line.includes(later) || refusals === 3) return undefined;
          refusals += 1;
          return '450 4.2.0 mailbox busy';
        },
      },
    });
    const producer = testProducer(prefix);
    const { of } = await startSender({ prefix, servers: [relay] });
    await producer.send({ id: 'm', from: 'relay@example.com', to: recipients, text: 'x' });
    const [row] = await settled(producer, ['m']);

    expect(recipients.map((address) => copiesOf(address.split('@')[0]!, [relay]))).toEqual(
      recipients.map((address) => (address === never ? 0 : 1)),
    );
    expect(row).toMatchObject({ state: 'partial', attempts: 4, reason: 'rejected' });
    expect(row?.recipients.map(({ address, outcome, code }) => [address, outcome, code])).toEqual(
      recipients.map((address) => (address === never ? [address, 'rejected', '550'] : [address, 'accepted', '250'])),
    );
    expect(row?.history.map(({ event }) => event)).toEqual(['routed', 'deferred', 'deferred', 'deferred', 'partial']);

    // Retries name the deferred recipient alone; the rejected one was named once.
    const asked = (address: string): number =>
      relay.received.commands.filter((line) => line.startsWith(`RCPT TO:<${address}>`)).length;
    expect(recipients.map(asked)).toEqual(recipients.map((address) => (address === later ? 4 : 1)));
    const { transactions } = relay.received;
    expect(transactions.map(({ to }) => to.length)).toEqual([18, 1]);
    // The later copy has the same bytes as the first.
    expect(transactions[1]?.bytes.equals(transactions[0]!.bytes)).toBe(true);

    const letter = await (await testOperator(prefix)).deadLetters.get('m');
    expect(letter).toMatchObject({ reason: 'rejected', connector: 'relay', attempts: 4 });
    expect(letter?.recipients).toEqual([{ address: never, code: '550', reply: 'no such user' }]);
    // A rejected recipient is no fault of the connector.
    expect(of('connector-fault')).toEqual([]);
  },
);
