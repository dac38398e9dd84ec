/** The HTTP API over shards of a Redis Cluster: what is spread over several servers is one to whoever asks. */
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { startTestServer } from '../support/cli-config.ts';
import { serveApi } from '../support/http-server.ts';
import { ownCluster } from '../support/own-redis.ts';
import { openEvents } from '../support/sse-client.ts';

const names = ['one', 'two', 'three', 'four', 'five', 'six'];

test('over five shards of a Cluster messages are sent, found, followed and replayed as over one server', async () => {
  const { urls } = await ownCluster();
  const env = { REDIS_URL: '' };
  const refusing = await startTestServer({ script: { RCPT: '550 5.1.1 No such user' } });
  const refused = (name: string): string =>
    `{ direction: outgoing, addresses: [${name}@example.com], smtp: { host: 127.0.0.1, port: ${refusing.port}, security: none } }`;
  const { here, mail, post, ask, port, tokens } = await serveApi({
    env,
    redis: JSON.stringify({ cluster: { nodes: urls }, prefix: '{postlane}', shards: 5 }),
    others: Object.fromEntries(names.map((name) => [name, refused(name)])),
  });
  await here.worker({ env });
  const events = await openEvents({ port, token: tokens.get('all')!, query: '?type=message.*' });
  const mailOf = (id: string, from: string) => ({ id, from, to: 'zoe@example.net', text: 'x' });
  for (const name of names) {
    expect((await post('/v1/messages', mailOf(`m-${name}`, `${name}@example.com`))).status).toBe(202);
  }
  const headers = { 'idempotency-key': 'k' };
  const keyed = { from: 'shop@example.com', to: 'zoe@example.net', text: 'x' };
  const first = await post('/v1/messages', keyed, { headers });
  const again = await post('/v1/messages', keyed, { headers });
  expect([first.status, again.status, again.body]).toMatchObject([202, 200, { id: first.body.id, duplicate: true }]);
  const stateOf = async (id: string): Promise<string> => (await ask(`/v1/messages/${id}`)).body.state;
  await until(async () => (await stateOf(first.body.id)) === 'sent', { what: 'the one of the gateway to be sent' });
  for (const name of names) {
    await until(async () => (await stateOf(`m-${name}`)) === 'dead', { what: `m-${name} to be dead` });
  }
  const found = await ask('/v1/messages?recipient=ZOE@example.net');
  expect(found.body).toMatchObject({ next: null, complete: true });
  expect(found.body.items).toHaveLength(7);
  expect((await ask('/v1/dead-letters')).body.items).toHaveLength(6);
  expect((await ask('/v1/connectors')).body.count).toBe(7);
  expect((await ask('/v1/stats')).body.sent).toBe(1);
  for (const verb of ['pause', 'resume']) {
    expect((await post(`/v1/connectors/three/${verb}`, { reason: 'a test' })).status).toBe(200);
  }
  const preview = await post('/v1/dead-letters/preview', { filter: {}, via: 'relay' });
  expect(preview.body).toMatchObject({ count: 6, byConnector: [{ connector: 'relay', count: 6 }] });
  const { selection } = preview.body;
  const begun = await post('/v1/dead-letters/replay', { selection, via: 'relay', ratePerSecond: 100 });
  expect(begun.status).toBe(202);
  await until(async () => (await ask(`/v1/operations/${begun.body.id}`)).body.state === 'done', { what: 'its end' });
  for (const name of names) {
    await until(async () => (await stateOf(`m-${name}`)) === 'sent', { what: `m-${name} to be sent` });
  }
  expect(mail.received.transactions).toHaveLength(7);
  const sent = () => events.events.filter(({ event }) => event === 'message.sent').map(({ data }) => data['id']);
  await until(() => sent().length >= 7, { what: 'an event for each' });
  expect(sent()).toHaveLength(7);
  expect(new Set(sent())).toEqual(new Set([first.body.id, ...names.map((name) => `m-${name}`)]));
  expect((await ask('/v1/audit')).body.items.map(({ action }: { action: string }) => action)).toEqual([
    'replay',
    'resume',
    'pause',
  ]);
});
