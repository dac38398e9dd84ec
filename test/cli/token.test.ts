/** `token new`, and a worker that serves the HTTP API with what it printed. */
import { expect, test } from 'vitest';
import { checkToken } from '../../src/config/token-check.ts';
import { goodConfig, withConnector } from '../config/load-text.ts';
import { startTestServer } from '../support/cli-config.ts';
import { project } from '../support/cli.ts';
import { ask } from '../support/http-server.ts';
import { testPrefix } from '../support/redis.ts';

const make = ['token', 'new', '--id', 'shop', '--scope', 'viewer,messages:send', '--from', '*@Example.com'];

test('`token new` prints a token and the entry that makes it valid', async () => {
  const here = project('not read');
  const { code, stdout } = await here.call([...make, '--rate', '600', '--expires', '2099-12-31']);
  expect(code).toBe(0);
  const [token = '', , , , ...entry] = stdout.trimEnd().split('\n');
  expect(token).toMatch(/^plk_shop_[\w-]{43}$/);
  const { api } = await goodConfig(
    `${withConnector('direction: outgoing\nsmtp: { host: a.example }')}${entry.join('\n')}\n`,
  );
  expect(api.tokens).toMatchObject([{ id: 'shop', from: ['*@example.com'], ratePerMinute: 600 }]);
  expect(checkToken(api.tokens, token, Date.now()).kind).toBe('token');
  expect(checkToken(api.tokens, `${token}x`, Date.now()).kind).toBe('unknown');
  expect(checkToken(api.tokens, token, Date.UTC(2100, 0, 1)).kind).toBe('expired');
});

test.each([
  [['--id', 'a b', '--scope', 'viewer']],
  [['--id', 'a', '--scope', 'everything']],
  [['--id', 'a', '--scope', 'viewer', '--from', 'nonsense']],
  [['--id', 'a', '--scope', 'viewer', '--rate', 'x']],
  [['--id', 'a', '--scope', 'viewer', '--expires', 'soon']],
  [['--id', 'a']],
])('`token new %s` is refused, and prints no token', async (args) => {
  const { code, stdout } = await project('').call(['token', 'new', ...args]);
  expect([code, stdout]).toEqual([2, '']);
});

test('`worker --serve` sends, and serves the API with a token that was made', async () => {
  const server = await startTestServer();
  const here = project('');
  const made = (await here.callJson(make)).values[0] as { token: string; entry: object };
  const api = `api: { listen: 127.0.0.1:0, tokens: [${JSON.stringify(made.entry)}] }`;
  here.write('postlane.yaml', server.config(testPrefix(), {}, ['metrics: { listen: 127.0.0.1:0 }', api]));
  const worker = await here.worker({ args: ['--serve'] });
  const port = Number((await worker.logged('serving'))['port']);
  const headers = { authorization: `Bearer ${made.token}` };
  const body = { from: 'a@example.com', to: 'b@example.net', text: 'x' };
  expect((await ask(port, '/v1/messages', { method: 'POST', headers, body })).status).toBe(202);
  await worker.logged('sent');
  const { text } = await ask(port, '/metrics');
  expect(text).toContain('postlane_messages_settled_total{state="sent"} 1');
  expect(worker.of('request')).toHaveLength(1);
  expect(await worker.end()).toBe(0);
  expect(worker.lines().at(-1)).toMatchObject({ event: 'stopped' });
});

test('`send --via` sends through a chosen connector, and through none that only receives or is not there', async () => {
  const [relay, spare] = [await startTestServer(), await startTestServer()];
  const others = {
    spare: `{ direction: outgoing, smtp: { host: 127.0.0.1, port: ${spare.port}, security: none } }`,
    inbox:
      '{ direction: incoming, address: in@example.com, incoming: { protocol: imap, host: a.example, user: u, password: p } }',
  };
  const here = project(relay.config(testPrefix(), others, ['metrics: { listen: none }']));
  const args = 'send --from a@example.com --to b@example.net --text x --via'.split(' ');
  for (const via of ['inbox', 'spares']) expect((await here.call([...args, via])).code).toBe(2);
  await here.worker();
  expect((await here.callJson([...args, 'spare', '--wait'])).values[0]).toMatchObject({ state: 'sent', rule: 'via' });
  expect([relay.received.transactions.length, spare.received.transactions.length]).toEqual([0, 1]);
});
