/** Which messages of a connector at fault go by another one: those that it may send for, wherever they stand in line. */
import { expect, test } from 'vitest';
import { account, allOnce, copiesOf, countable, countableMany, settled, sink } from '../../support/accounting.ts';
import { after, startSender, switched } from '../../support/fallback.ts';
import { testProducer } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';

test.each([
  ['more than one round moves', 120],
  ['more than one round looks at', 620],
])(
  'mail that no fallback may send for holds up none behind it, where it is %s, nor what comes to the front later',
  async (_, many) => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { server, is } = await switched();
    const other = await sink();
    await startSender(
      prefix,
      {
        gateway: { port: other.port, connector: { addresses: ['*@elsewhere.example'] } },
        primary: {
          port: server.port,
          connector: { addresses: ['held@example.com', 'free@example.com'], fallback: after(0, 'standby') },
        },
        standby: {
          port: other.port,
          connector: { addresses: ['own@example.com'], fallbackFor: ['free@example.com'] },
        },
      },
      { default: 'gateway' },
    );
    const held = countableMany(many, 'held').map((message) => ({ ...message, from: 'held@example.com' }));
    const free = countableMany(60, 'free').map((message) => ({ ...message, from: 'free@example.com' }));
    await producer.sendMany([...held, ...free]);
    const rows = await settled(producer, free, 20_000);
    expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['standby']));
    // In front of all of them, and behind one that may not go.
    await producer.send(countable('front', { from: 'held@example.com', priority: 'high' }));
    await producer.send(countable('urgent', { from: 'free@example.com', priority: 'high' }));
    const [urgent] = await settled(producer, ['urgent']);
    expect(urgent).toMatchObject({ connector: 'standby' });
    expect(held.filter(({ id }) => copiesOf(id!, [other]) > 0)).toEqual([]);
    is.away = false;
    const all = await settled(producer, [...held, ...free, 'front', 'urgent']);
    expect(account(all, [server, other])).toEqual(allOnce(many + 62));
  },
);
