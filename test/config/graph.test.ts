/** The `graph` block: each way to prove who the application is, clouds, and what is refused. */
import { expect, test } from 'vitest';
import { goodConfig, loadText, mistakes, withConnector } from './load-text.ts';

const pem =
  '-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n';
const ids = 'tenantId: t, clientId: c';
const graphOf = async (block: string, files: Record<string, string> = {}) => {
  const config = await goodConfig(withConnector(`direction: outgoing\ngraph: { ${block} }`), { files });
  const [connector] = config.connectors;
  return connector?.transport?.kind === 'graph' ? { ...connector.transport.graph, limits: connector.limits } : null;
};

test.each([
  [`${ids}, credential: { clientSecret: s }`, { kind: 'clientSecret', clientSecret: 's' }],
  [
    `${ids}, credential: { certificate: "\${file:app.pem}", certificatePassword: p }`,
    { kind: 'clientCertificate', certificate: pem.trimEnd(), password: 'p' },
  ],
  [`${ids}, credential: { certificate: app.pem }`, { kind: 'clientCertificate', certificate: pem, password: null }],
  ['credential: { managedIdentity: system }', { kind: 'managedIdentity', clientId: null }],
  ['credential: { managedIdentity: some-id }', { kind: 'managedIdentity', clientId: 'some-id' }],
  ['credential: { workloadIdentity: environment }', { kind: 'workloadIdentity', tokenFile: null }],
  ['credential: { workloadIdentity: /var/run/token }', { kind: 'workloadIdentity', tokenFile: '/var/run/token' }],
  ['credential: { default: true }', { kind: 'default' }],
])('takes %s', async (block, credential) => {
  expect(await graphOf(block, { '/etc/postlane/app.pem': pem })).toMatchObject({ credential });
});

test('knows the clouds, and accepts other endpoints', async () => {
  const secret = `${ids}, credential: { clientSecret: s }`;
  expect(await graphOf(secret)).toMatchObject({
    cloud: { graphBaseUrl: 'https://graph.microsoft.com', authorityHost: 'https://login.microsoftonline.com' },
    mailbox: null,
    saveToSentItems: true,
    limits: { concurrency: 4 },
  });
  expect(await graphOf(`${secret}, cloud: china, mailbox: Sales@Example.com`)).toMatchObject({
    cloud: { graphBaseUrl: 'https://microsoftgraph.chinacloudapi.cn' },
    mailbox: 'Sales@example.com',
  });
  expect(
    await graphOf(`${secret}, graphBaseUrl: "https://127.0.0.1:8443/", authorityHost: "https://x.example"`),
  ).toMatchObject({
    cloud: { graphBaseUrl: 'https://127.0.0.1:8443', authorityHost: 'https://x.example' },
  });
});

test.each([
  [`${ids}, credential: {}`, '6 credential connectors.c.graph.credential'],
  [`${ids}, credential: { clientSecret: s, default: true }`, '6 credential connectors.c.graph.credential'],
  [
    `${ids}, credential: { clientSecret: s, certificatePassword: p }`,
    '6 credential connectors.c.graph.credential.certificatePassword',
  ],
  ['tenantId: t, credential: { clientSecret: s }', '6 required connectors.c.graph'],
  [`${ids}, credential: { certificate: nonsense }`, '6 certificate connectors.c.graph.credential.certificate'],
  [`${ids}, credential: { certificate: gone.pem }`, '6 missing-file connectors.c.graph.credential.certificate'],
  [`${ids}, credential: { clientSecret: s }, cloud: mars`, '6 choice connectors.c.graph.cloud'],
  [
    `${ids}, credential: { clientSecret: s }, graphBaseUrl: "http://x.example"`,
    '6 origin connectors.c.graph.graphBaseUrl',
  ],
  [
    `${ids}, credential: { clientSecret: s }, graphBaseUrl: "https://x.example/v1.0"`,
    '6 origin connectors.c.graph.graphBaseUrl',
  ],
  [`${ids}, credential: { clientSecret: s }, mailbox: nobody`, '6 address connectors.c.graph.mailbox'],
])('refuses %s', async (block, expected) => {
  expect(await mistakes(withConnector(`direction: outgoing\ngraph: { ${block} }`))).toEqual([expected]);
});

test('no error repeats a secret', async () => {
  const block = `${ids}, credential: { certificate: hunter2, certificatePassword: hunter3, clientSecret: hunter4 }`;
  const result = await loadText(withConnector(`direction: outgoing\ngraph: { ${block} }`));
  expect(JSON.stringify(result)).not.toMatch(/hunter/);
});
