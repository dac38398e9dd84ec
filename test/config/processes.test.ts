/** `metrics`, `api` and `expires`: where processes listen, what they show, and when credentials end. */
import { expect, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { goodConfig, mistakes, onlyIssue, withConnector } from './load-text.ts';

const smtp = 'direction: outgoing\nsmtp: { host: smtp.example.com }';
const config = (more: string) => withConnector(smtp) + more;

test('by default both servers listen on the loopback, and a worker shows only what is its own', async () => {
  const { metrics, api } = await goodConfig(config(''));
  expect(metrics).toEqual({ listen: { host: '127.0.0.1', port: 9464 }, connectors: 500, global: false });
  expect(api).toEqual({
    listen: { host: '127.0.0.1', port: 8025 },
    hosts: [],
    proxies: [],
    tls: null,
    tokens: [],
  });
});

test.each([
  ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
  ['"[::1]:9464"', { host: '::1', port: 9464 }],
  ['localhost:0', { host: 'localhost', port: 0 }],
  ['none', null],
])('metrics.listen takes %s', async (written, held) => {
  expect((await goodConfig(config(`metrics: { listen: ${written} }`))).metrics.listen).toEqual(held);
});

test.each(['9464', '127.0.0.1', '":9464"', '::1:9464', '127.0.0.1:65536', 'http://127.0.0.1:80', '"[127.0.0.1]:80"'])(
  'metrics.listen refuses %s, and says what it must be',
  async (written) => {
    const text = config(`metrics:\n  listen: ${written}\n`);
    expect(['listen', 'type']).toContain((await onlyIssue(text)).rule);
  },
);

test('api.listen cannot be none: `serve` would have nothing to do', async () => {
  expect(await mistakes(config('api: { listen: none }'))).toEqual(['7 listen api.listen']);
});

test('names of hosts are compared in lower case', async () => {
  expect((await goodConfig(config('api: { hosts: [Serve.Example.COM, "[::1]"] }'))).api.hosts).toEqual([
    'serve.example.com',
    '::1',
  ]);
});

test('a secret ends at the end of the day that `expires` names', async () => {
  const { connectors } = await goodConfig(withConnector(`${smtp}\nexpires: 2027-06-30`));
  expect(connectors[0]?.credentialEndsAt).toBe(Date.UTC(2027, 6, 1) - 1);
});

test.each(['2027-02-30', '2027-6-30', '30.06.2027', '"2027-06-30T10:00:00Z"', 'soon'])(
  'expires refuses %s, which is no day',
  async (day) => {
    expect((await onlyIssue(withConnector(`${smtp}\nexpires: ${day}`))).rule).toBe('date');
  },
);

test('a certificate ends when it says, or earlier if `expires` says so; another credential has no end', async () => {
  const { server } = await createCertificates(new Date('2030-01-01T00:00:00Z'));
  const graph = (rest: string) => withConnector(`direction: outgoing\n${rest}`);
  const files = { '/etc/postlane/app.pem': `${server.key}\n${server.cert}` };
  const identity = 'tenantId: t.example.com, clientId: c';
  const byFile = `graph: { ${identity}, credential: { certificate: app.pem } }`;
  const endOf = async (rest: string) => (await goodConfig(graph(rest), { files })).connectors[0]?.credentialEndsAt;
  expect(await endOf(byFile)).toBe(Date.UTC(2030, 0, 31));
  expect(await endOf(`${byFile}\nexpires: 2030-01-05`)).toBe(Date.UTC(2030, 0, 6) - 1);
  const oauth2 = `oauth2: { provider: microsoft, ${identity}, credential: { certificate: app.pem } }`;
  expect(await endOf(`smtp: { host: a.example, auth: { user: u, ${oauth2} } }`)).toBe(Date.UTC(2030, 0, 31));
  expect(await endOf(`graph: { ${identity}, credential: { clientSecret: s } }`)).toBeNull();
});
