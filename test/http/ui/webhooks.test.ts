/** Webhooks in the dashboard: how each stands, why one is off, and what may be done with what could not be delivered. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf } from '../../support/dashboard.ts';
import { serveApi, type ServedApi } from '../../support/http-server.ts';
import { startReceiver } from '../../support/receiver.ts';
import { plantDeadEvents } from '../../support/webhooks.ts';

const evil = '<script>alert(1)</script>"><img src=x>';
const looker = { id: 'looker', scopes: ['viewer'] };
const shop = { id: 'shop', scopes: ['operator'], from: ['shop@example.com'] };

async function reload(api: ServedApi, ...rest: readonly string[]): Promise<void> {
  api.here.write('postlane.yaml', api.config([looker, shop], rest));
  api.serve.child.kill('SIGHUP');
  await api.serve.logged('config-applied');
}

const planted = [
  { eventId: '0-1-0', type: 'message.sent', message: 'message-one' },
  { eventId: '0-2-0', type: 'message.dead', message: evil },
  { eventId: '0-3-0', type: 'connector.fault', message: null },
];

test('without a webhook, the page says how to add one', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/webhooks'))).toContain('No webhook is configured. Add an endpoint to webhooks');
  expect((await visitor.get('/ui/webhooks/crm')).status).toBe(404);
});

test('a webhook that answers 410 is shown as switched off, with why and what waits, and is switched on', async () => {
  const receiver = await startReceiver();
  receiver.react = () => 410;
  const { url, secret } = receiver;
  const api = await serveApi({
    rest: [`webhooks: [{ id: crm, url: "${url}?token=unseen-secret", secret: "${secret}", types: ["*"] }]`],
  });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/webhooks'))).toContain('Every webhook takes what it is sent.');
  await until(
    async () => {
      await visitor.submit('/ui/connectors/relay/pause', { reason: 'an event' });
      return wordsOf(await visitor.get('/ui/webhooks')).includes('switched off');
    },
    { what: 'the webhook to be off', timeoutMs: 20_000 },
  );
  const page = await visitor.get('/ui/webhooks/crm');
  expect(wordsOf(page)).toMatch(/It was switched off \d+ s ago: it answered 410, which means that it is gone\./);
  expect(wordsOf(page)).toMatch(/\d+ events? waits?\./);
  expect(page.text).not.toContain('unseen-secret');
  receiver.react = () => 204;
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/enable'))).toContain('crm is switched on.');
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/enable'))).toContain('Not done: crm is not switched off.');
  await until(
    async () => wordsOf(await visitor.get('/ui/webhooks/crm')).includes('It takes what it is sent. No event waits.'),
    {
      what: 'what was open to be delivered',
    },
  );
  const audit = (await api.ask('/v1/audit?action=webhook-enable')).body.items;
  expect(audit).toMatchObject([
    { by: 'all', through: 'ui', target: 'crm', result: 'refused' },
    { by: 'all', through: 'ui', target: 'crm', result: 'done' },
  ]);
});

test('a test event is sent by a button, and what came of it is told', async () => {
  const receiver = await startReceiver();
  const { url, secret } = receiver;
  const api = await serveApi({ rest: [`webhooks: [{ id: crm, url: "${url}", secret: "${secret}", types: ["*"] }]`] });
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/test'))).toContain('crm took the test event: HTTP 204.');
  expect(receiver.received.at(-1)?.body.type).toBe('webhook.test');
  receiver.react = () => 500;
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/test'))).toContain(
    'Not done: crm did not take the test event:',
  );
});

test('dead letters are listed as text, delivered again and dropped, one or all, with a reason in the audit', async () => {
  const receiver = await startReceiver();
  const api = await serveApi();
  await plantDeadEvents(api.prefix, 'crm', planted, `HTTP 500: ${evil}`);
  const { url, secret } = receiver;
  await reload(api, `webhooks: [{ id: crm, url: "${url}", secret: "${secret}", types: ["connector.paused"] }]`);
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/webhooks'))).toContain('3 events could not be delivered.');
  const page = await visitor.get('/ui/webhooks/crm');
  expect(page.text).not.toMatch(/<script>alert|<img/);
  expect(wordsOf(page)).toContain('message.dead');
  expect(wordsOf(page)).toContain('HTTP 500: <script>');
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/retry', { event: '0-1-0' }))).toContain(
    '1 event is delivered again.',
  );
  await until(() => receiver.received.some(({ id }) => id === '0-1-0'), { what: 'the event' });
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/retry', { event: '0-1-0' }))).toContain(
    'no such dead letter any more',
  );
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/drop', { event: '0-2-0' }))).toContain(
    'Not done: a reason is needed.',
  );
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/drop', { event: '0-2-0', reason: evil }))).toContain(
    '1 dead letter is dropped.',
  );
  for (const event of ['../x', '0-2-0', evil]) {
    expect(wordsOf(await visitor.submit('/ui/webhooks/crm/drop', { event, reason: 'r' }))).toContain('Not done:');
  }
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/drop', { reason: 'all of it' }))).toContain(
    '1 dead letter is dropped.',
  );
  expect(wordsOf(await visitor.get('/ui/webhooks/crm'))).toContain('There are no dead letters.');
  const audit = await visitor.get('/ui/audit?target=crm');
  expect(audit.text).not.toMatch(/<script>alert|<img/);
  expect(wordsOf(audit)).toContain('webhook-drop-dead');
});

test('a webhook that has left the configuration is shown until somebody forgets it; a configured one cannot be', async () => {
  const { url, secret } = await startReceiver();
  const api = await serveApi();
  await plantDeadEvents(api.prefix, 'old', planted, 'HTTP 500');
  await reload(api, `webhooks: [{ id: crm, url: "${url}", secret: "${secret}", types: ["*"] }]`);
  const visitor = await signIn(api);
  expect(wordsOf(await visitor.get('/ui/webhooks'))).toContain('old not in the configuration not configured');
  expect(wordsOf(await visitor.submit('/ui/webhooks/crm/forget'))).toContain('Not done: crm is in the configuration');
  const forgotten = await visitor.post('/ui/webhooks/old/forget');
  expect(forgotten.status).toBe(303);
  expect(wordsOf(await visitor.get('/ui/webhooks'))).toContain('Nothing is kept of old any more.');
  expect((await visitor.get('/ui/webhooks/old')).status).toBe(404);
});

test('who may not act is refused by the server, and a token of some senders sees no events of others', async () => {
  const api = await serveApi();
  const deliveries = await plantDeadEvents(api.prefix, 'old', planted, 'HTTP 500');
  await reload(api);
  const viewer = await signIn(api, 'looker');
  const page = await viewer.get('/ui/webhooks/old');
  expect(page.text).toContain('message-one');
  expect(page.text).not.toContain('/ui/webhooks/old/drop');
  expect(wordsOf(await viewer.submit('/ui/webhooks/old/drop', { reason: 'r' }))).toContain(
    'does not have the scope connectors:write',
  );
  const limited = await signIn(api, 'shop');
  const own = await limited.get('/ui/webhooks/old');
  expect(own.text).not.toContain('message-one');
  expect(wordsOf(own)).toContain('3 dead letters');
  for (const action of ['drop', 'retry', 'forget', 'enable']) {
    expect(wordsOf(await limited.submit(`/ui/webhooks/old/${action}`, { reason: 'r' }))).toContain(
      'is limited to some From addresses',
    );
  }
  expect((await deliveries.view('old')).deadLetters).toBe(3);
});
