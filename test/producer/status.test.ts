/** status(): where a message stands, also in the moment in which it goes from the intake to its lane. */
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { readStatus } from '../../src/producer/status.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

test('a message that is routed between the reads of its row and of its job is not unknown', async () => {
  const redis = testConnection();
  const { ledger, intake, jobs } = openQueues(redis, { prefix: testPrefix() });
  const row = {
    id: 'm',
    connector: 'relay',
    rule: 'default',
    messageId: '<m@x>',
    recipients: [],
    acceptedAt: 1,
    deadline: 2,
  };
  const moving = {
    ...jobs,
    async job() {
      await ledger.create(row);
      return null;
    },
  };
  expect(await readStatus('m', { ledger, intake, jobs: moving })).toMatchObject({ id: 'm', connector: 'relay' });
});

test('an id that no message has is null', async () => {
  expect(await readStatus('m', openQueues(testConnection(), { prefix: testPrefix() }))).toBeNull();
});
