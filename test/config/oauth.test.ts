/** The `oauth2` block of an SMTP login: what it becomes, and which keys do not go together. */
import { expect, test } from 'vitest';
import { goodConfig, mistakes, withConnector } from './load-text.ts';

const body = (auth: string) =>
  withConnector(`direction: outgoing\nsmtp: { host: a.example, auth: { user: u, ${auth} } }`);
const oauth = (block: string) => body(`oauth2: { ${block} }`);
const key = JSON.stringify({ client_email: 'bot@x.example', private_key: 'PEM', type: 'service_account' });
const authOf = async (block: string) => {
  const config = await goodConfig(oauth(block), { files: { '/etc/postlane/key.json': key } });
  const transport = config.connectors[0]?.transport;
  return transport?.kind === 'smtp' ? transport.smtp.auth : null;
};

test.each([
  [
    'provider: microsoft, tenantId: t, clientId: c, credential: { clientSecret: s }',
    {
      provider: 'microsoft',
      identity: { tenantId: 't', clientId: 'c', authorityHost: 'https://login.microsoftonline.com' },
      scope: 'https://outlook.office365.com/.default',
    },
  ],
  [
    'provider: microsoft, cloud: china, credential: { managedIdentity: system }',
    { identity: { authorityHost: 'https://login.chinacloudapi.cn' }, scope: 'https://partner.outlook.cn/.default' },
  ],
  [
    'provider: google, clientId: c, clientSecret: s, refreshToken: r',
    {
      provider: 'google',
      grant: { kind: 'refreshToken', refreshToken: 'r' },
      tokenUrl: 'https://oauth2.googleapis.com/token',
    },
  ],
  [
    'provider: google, serviceAccount: "${file:key.json}"',
    { grant: { kind: 'serviceAccount', clientEmail: 'bot@x.example', privateKey: 'PEM' } },
  ],
])('takes %s', async (block, expected) => {
  expect(await authOf(block)).toMatchObject({ user: 'u', oauth2: expected });
});

const at = 'connectors.c.smtp.auth';
test.each([
  [
    body('password: p, oauth2: { provider: google, clientId: c, clientSecret: s, refreshToken: r }'),
    `6 credential ${at}.password`,
  ],
  [withConnector('direction: outgoing\nsmtp: { host: a.example, auth: { user: u } }'), `6 required ${at}.password`],
  [oauth('provider: microsoft, tenantId: t, clientId: c'), `6 credential ${at}.oauth2`],
  [oauth('provider: microsoft, clientId: c, credential: { clientSecret: s }'), `6 required ${at}.oauth2`],
  [
    oauth('provider: microsoft, refreshToken: r, credential: { default: true }'),
    `6 credential ${at}.oauth2.refreshToken`,
  ],
  [oauth('provider: google, clientId: c, refreshToken: r'), `6 credential ${at}.oauth2`],
  [oauth('provider: google, serviceAccount: "{}"'), `6 service-account ${at}.oauth2.serviceAccount`],
  [oauth('provider: yahoo'), `6 choice ${at}.oauth2.provider`],
])('refuses %s', async (text, expected) => {
  expect(await mistakes(text)).toEqual([expected]);
});
