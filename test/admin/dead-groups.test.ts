/** Groups of dead letters: replies without addresses and numbers, with counts and where the letters would go now. */
import { expect, test } from 'vitest';
import { groupDeadLetters } from '../../src/admin/dead-groups.ts';
import { shapeOfReply } from '../../src/admin/reply-shape.ts';
import { createRoutes } from '../../src/admin/routes.ts';
import { growsLinearly } from '../support/growth.ts';
import { adminConfig, plantDead } from '../support/operators.ts';
import { testOperator } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

test.for([
  ['550 5.1.1 <gone@example.net>: User unknown', '550 5.1.1 <>: User unknown'],
  ['550-5.1.1 a@b.example does not exist', '550 5.1.1 <> does not exist'],
  ['451 4.7.1 Greylisted, please try again in 300 seconds', '451 4.7.1 Greylisted, please try again in # seconds'],
  ['250 2.0.0 Ok: queued as 4ZkL2p1Jq9z3T', '250 2.0.0 Ok: queued as #'],
  ['554 blocked, see http://x.example/?ip=192.0.2.1', '554 blocked, see http://x.example/?#'],
  ['connect ECONNREFUSED 198.51.100.7:587', 'connect ECONNREFUSED #'],
  ['no connector sends for a@example.com', 'no connector sends for <>'],
  ['', ''],
])('the reply %j is one of the kind %j', ([reply = '', shape]) => {
  expect(shapeOfReply(reply)).toBe(shape);
});

test.for(['@1<', 'a@', '1', '<a.b', 'a1 '])(
  'attack: a reply of many %j costs no more than its length',
  async (piece) => {
    expect(await growsLinearly((size) => shapeOfReply(piece.repeat(size)), 200_000)).toBe(true);
  },
);

test('letters are grouped by reason, connector and reply, the largest group first, with first and last', async () => {
  const prefix = testPrefix();
  const config = adminConfig({ relay: {}, sales: { addresses: ['s@example.com'] } });
  await plantDead(
    prefix,
    Array.from({ length: 30 }, () => ({})),
  );
  const other = { reason: 'expired', connector: 'sales', reply: '451 later', from: 's@example.com' } as const;
  await plantDead(prefix, [other, { ...other, connector: null }], 100);
  const operator = await testOperator(prefix);
  const { groups, count } = await operator.deadGroups(config, {}, ['reason', 'connector', 'reply']);
  expect(count).toBe(32);
  expect(groups).toMatchObject([
    {
      reason: 'rejected',
      connector: 'relay',
      reply: '550 5.1.1 <>: User unknown',
      count: 30,
      recipients: 30,
      wouldRouteTo: 'relay',
    },
    { reason: 'expired', connector: null, reply: '451 later', count: 1, wouldRouteTo: 'sales' },
    { reason: 'expired', connector: 'sales', reply: '451 later', count: 1, lastId: 'dead-000100' },
  ]);
  expect(groups[0]!.lastAt - groups[0]!.firstAt).toBe(29);
  const byReason = await operator.deadGroups(config, {}, ['reason']);
  expect(byReason.groups.map(({ reason, connector, reply, count: each }) => [reason, connector, reply, each])).toEqual([
    ['rejected', null, null, 30],
    ['expired', null, null, 2],
  ]);
  const filtered = await operator.deadGroups(
    config,
    { reply: '550 5.1.1 <>: User unknown', recipient: 'R7@EXAMPLE.NET' },
    ['reply'],
  );
  expect(filtered.count).toBe(1);
});

test('more letters than a page that died in one millisecond are each counted once, in both orders', async () => {
  const prefix = testPrefix();
  const at = Date.now() - 1_000;
  await plantDead(
    prefix,
    Array.from({ length: 1_300 }, () => ({ at })),
  );
  const { deadLetters } = await testOperator(prefix);
  for (const order of ['oldest', 'newest'] as const) {
    const ids: string[] = [];
    for (
      let after = null as Awaited<ReturnType<typeof deadLetters.page>>['next'], first = true;
      first || after !== null;
      first = false
    ) {
      const page = await deadLetters.page({ order, after });
      ids.push(...page.digests.map(({ id }) => id));
      after = page.next;
      // The place may be dropped in between.
      if (after !== null && ids.length === 500) await deadLetters.drop(after.id);
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBe(order === 'oldest' ? 1_300 : 1_299);
  }
});

test('a group without a name of a sender goes where its connector still sends', async () => {
  const routes = createRoutes(adminConfig({ relay: {} }));
  const digest = {
    id: 'a',
    at: 1,
    reason: 'rejected',
    reply: null,
    recipients: 1,
    from: null,
    form: 'json',
    held: false,
  };
  const letters = {
    page: async () => ({
      digests: [
        { ...digest, connector: 'gone' },
        { ...digest, connector: 'relay' },
      ],
      next: null,
    }),
  };
  const { groups } = await groupDeadLetters(letters, {}, ['connector'], routes);
  expect(groups.map(({ connector, wouldRouteTo }) => [connector, wouldRouteTo])).toEqual([
    ['gone', null],
    ['relay', 'relay'],
  ]);
});
