/** What is set for the way of a connector's mail is shown by `explain` and `connectors`, and never a key. */
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { signIn, wordsOf } from '../support/dashboard.ts';
import { serveApi } from '../support/http-server.ts';
import { testPrefix } from '../support/redis.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const sales = `{ direction: outgoing, address: sales@example.com, expires: 2099-06-30, smtp: { hosts: [{ host: a.example }, { host: "2001:db8::1", port: 2525 }, { host: b.example }], localAddress: "2001:db8::7", dkim: { domain: example.com, selector: s1, key: ${JSON.stringify(key)} } } }`;
const expected = {
  server: 'a.example:587, [2001:db8::1]:2525, b.example:587',
  localAddress: '2001:db8::7',
  dkim: { domain: 'example.com', selector: 's1' },
  credentialExpiresAt: '2099-06-30T23:59:59.999Z',
};
const nothing = { localAddress: null, dkim: null, credentialExpiresAt: null };
const secretPart = key.split('\n')[3]!;

test('explain and connectors show servers, local address, signature and the end of the credential', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), { sales }));
  const explained = await here.callJson(['explain', 'sales@example.com']);
  expect(explained.values).toMatchObject([{ connector: 'sales', ...expected }]);
  expect((await here.callJson(['explain', 'x@example.net'])).values).toMatchObject([
    { connector: 'relay', ...nothing },
  ]);
  const { stdout } = await here.call(['explain', 'sales@example.com']);
  expect(stdout).toContain(`  by ${expected.server}, from 2001:db8::7`);
  expect(stdout).toContain('  signed with DKIM by example.com (selector s1)');
  expect(stdout).toContain('  its credential ends 2099-06-30T23:59:59.999Z');
  const rows = await here.callJson(['connectors']);
  expect(rows.values).toMatchObject([
    { id: 'relay', ...nothing },
    { id: 'sales', ...expected },
  ]);
  expect(JSON.stringify([explained, stdout, rows])).not.toContain(secretPart);
});

test('the API and the dashboard show the same', async () => {
  const api = await serveApi({ others: { sales } });
  const answers = [await api.ask('/v1/connectors/sales'), await api.ask('/v1/routes/explain?from=sales@example.com')];
  expect(answers.map(({ body }) => body)).toMatchObject([expected, expected]);
  const page = await (await signIn(api)).get('/ui/connectors/sales');
  expect(wordsOf(page)).toContain('Connects from 2001:db8::7');
  expect(wordsOf(page)).toContain('DKIM selector s1 of example.com');
  expect(JSON.stringify([answers, page.text])).not.toContain(secretPart);
});
