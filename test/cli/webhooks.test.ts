/** `postlane serve` delivers, and `postlane webhooks` shows, tests and repairs. */
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { until } from '../../testkit/until.ts';
import { serveApi } from '../support/http-server.ts';
import { startReceiver } from '../support/receiver.ts';
import { shardCount, testConnection } from '../support/redis.ts';

test('serve delivers events; list, test, enable and drop do as they say', async () => {
  const receiver = await startReceiver();
  const hooks = `webhooks: [{ id: crm, url: "${receiver.url}", secret: "${receiver.secret}", types: ["*"] }]`;
  const { here, prefix } = await serveApi({ rest: [hooks] });
  const { events, deliveries } = openQueues(testConnection(), { prefix, shards: shardCount() });
  await until(async () => (await deliveries.known()).includes('crm'), { what: 'it to be known' });
  await until(
    async () => {
      await events.append('connector.paused', 'relay', { n: '1' });
      return receiver.received.length > 0;
    },
    { what: 'an event' },
  );
  const listed = await here.callJson(['webhooks', 'list']);
  expect(listed.values).toMatchObject([{ id: 'crm', configured: true, off: null, dead: 0 }]);
  expect(await here.callJson(['webhooks', 'test', 'crm'])).toMatchObject({
    code: 0,
    values: [{ ok: true, status: 204 }],
  });
  expect(receiver.received.at(-1)!.body.type).toBe('webhook.test');
  receiver.react = () => 500;
  expect((await here.call(['webhooks', 'test', 'crm'])).code).toBe(1);
  expect((await here.call(['webhooks', 'test', 'other'])).code).toBe(1);
  expect((await here.call(['webhooks', 'enable', 'crm'])).code).toBe(1);
  expect((await here.call(['webhooks', 'retry', 'crm'])).code).toBe(2);
  expect((await here.call(['webhooks', 'drop', 'crm'])).stderr).toContain('in the configuration');
  const audit = await here.callJson(['audit', '--action', 'webhook-test']);
  expect(audit.values.map((each) => each['result'])).toEqual(['failed', 'done']);
  expect(receiver.refused).toEqual([]);
});
