/** status(): where a message stands, also in the moment in which it goes from the intake to its lane. */
import type { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { readStatus } from '../../src/producer/status.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

test('a message that is routed between the reads of its row and of its job is not unknown', async () => {
  const redis = testConnection();
  const ledger = openQueues(redis, { prefix: testPrefix() }).ledger;
  const row = {
    id: 'm',
    connector: 'relay',
    rule: 'default',
    messageId: '<m@x>',
    recipients: [],
    acceptedAt: 1,
    deadline: 2,
  };
  const intake = {
    async getJob() {
      await ledger.create(row);
      return undefined;
    },
  } as unknown as Queue;
  expect(await readStatus('m', ledger, intake)).toMatchObject({ id: 'm', connector: 'relay' });
});

test('an id that no message has is null', async () => {
  const ledger = openQueues(testConnection(), { prefix: testPrefix() }).ledger;
  const intake = { getJob: async () => undefined } as unknown as Queue;
  expect(await readStatus('m', ledger, intake)).toBeNull();
});
