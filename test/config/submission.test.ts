/** The section `submission`: what it takes, and each mistake with its place. */
import { describe, expect, test } from 'vitest';
import { formatPasswordHash, passwordCost } from '../../src/config/password-hash.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { goodConfig, loadText, mistakes as placed, onlyIssue, withConnector } from './load-text.ts';

/** Rule and key, without the line. */
const mistakes = async (text: string) => (await placed(text)).map((each) => each.replace(/^\d+ /, ''));
const hash = formatPasswordHash({ ...passwordCost, salt: Buffer.alloc(16), key: Buffer.alloc(32) });
const config = (more: string) => `${withConnector('direction: outgoing\nsmtp: { host: smtp.example.com }')}${more}`;
const section = (...lines: readonly string[]) => config(`submission:\n${lines.map((line) => `  ${line}\n`).join('')}`);
const listener = (text: string) => section('listeners:', `  - { listen: "127.0.0.1:25", ${text} }`);
const user = (text: string) => section('users:', `  - { ${text} }`);

test('nothing is listened on by default', async () => {
  expect((await goodConfig(config(''))).submission).toEqual({
    listeners: [],
    users: [],
    dedupeForMs: 600_000,
    maxClients: 1_000,
    maxBytesInFlight: 128 * 1024 * 1024,
    acknowledgeReplicas: 0,
  });
});

test('the example of the documents', async () => {
  const { server } = await createCertificates();
  const tls = 'tls: { cert: /etc/postlane/tls.crt, key: /etc/postlane/tls.key }';
  const text = section(
    'listeners:',
    `  - { listen: "0.0.0.0:587", security: starttls, ${tls} }`,
    `  - { listen: "0.0.0.0:465", security: tls, ${tls} }`,
    '  - { listen: "10.0.0.5:25", security: none, networks: [10.0.0.0/24], from: [scanner@example.com] }',
    'users:',
    `  - { user: erp, password: "${hash}", from: [ERP@example.com, "*@billing.example.com"] }`,
  );
  const files = { '/etc/postlane/tls.crt': server.cert, '/etc/postlane/tls.key': server.key };
  const { listeners, users } = (await goodConfig(text, { files })).submission;
  expect(listeners[0]).toEqual({
    listen: { host: '0.0.0.0', port: 587 },
    security: 'starttls',
    tls: { ...server, clientCa: null, minVersion: 'TLSv1.2' },
    networks: [],
    from: [],
    proxies: [],
  });
  expect(listeners[2]?.networks).toEqual([{ address: '10.0.0.0', prefix: 24, family: 'ipv4' }]);
  expect(users).toEqual([
    {
      user: 'erp',
      password: hash,
      from: ['erp@example.com', '*@billing.example.com'],
      options: false,
      ratePerMinute: null,
      quota: { messagesPerDay: null, recipientsPerDay: null },
    },
  ]);
  const loaded = await loadText(text, { files });
  expect(loaded.files).toContain('/etc/postlane/tls.crt');
});

describe('an open relay by mistake', () => {
  test.each([
    ['security: none', 'listener submission.listeners[0].security'],
    ['security: none, from: [a@example.com]', 'listener submission.listeners[0].security'],
    ['security: none, networks: [10.0.0.0/24]', 'listener submission.listeners[0].networks'],
    ['security: starttls', 'listener submission.listeners[0].security'],
    ['security: none, networks: [0.0.0.0/0], from: [a@example.com]', 'network submission.listeners[0].networks[0]'],
    ['security: none, networks: ["::/0"], from: [a@example.com]', 'network submission.listeners[0].networks[0]'],
    ['security: none, networks: [10.0.0.0/33], from: [a@example.com]', 'network submission.listeners[0].networks[0]'],
    ['security: none, networks: [all], from: [a@example.com]', 'network submission.listeners[0].networks[0]'],
    ['security: none, networks: [10.0.0.0/24], from: ["*"]', 'address-pattern submission.listeners[0].from[0]'],
    ['security: none, networks: [10.0.0.0/24], from: ["*@*"]', 'address-pattern submission.listeners[0].from[0]'],
  ])('%s is a mistake', async (text, mistake) => {
    expect(await mistakes(listener(text))).toContain(mistake);
  });
});

test.each([
  ['user: erp, password: hunter2hunter2, from: [a@example.com]', 'password-hash'],
  [`user: "e r p", password: "${hash}", from: [a@example.com]`, 'user-name'],
  [`user: erp, password: "${hash}", from: []`, 'empty'],
  [`user: erp, password: "${hash}"`, 'required'],
  [`user: erp, password: "${hash}", from: [a@example.com], ratePerMinute: 0`, 'range'],
])('a user { %s } is a mistake', async (text, rule) => {
  const found = await onlyIssue(user(text));
  expect(found.rule === 'range' && rule === 'empty' ? 'empty' : found.rule).toBe(rule);
  expect(found.message).not.toContain('hunter2');
});

test('names that log in are of one user: no other user, and no token, has them', async () => {
  const erp = `{ user: erp, password: "${hash}", from: [a@example.com] }`;
  expect(await mistakes(section('users:', `  - ${erp}`, `  - ${erp}`))).toEqual([
    'duplicate-user submission.users[1].user',
  ]);
  const token = `api: { tokens: [{ id: erp, sha256: "${'0'.repeat(64)}", scopes: ["messages:send"] }] }\n`;
  expect(await mistakes(section('users:', `  - ${erp}`) + token)).toEqual(['duplicate-user submission.users[0].user']);
});

test('two listeners have two addresses, and a budget has room for the largest message', async () => {
  const open = '{ listen: "127.0.0.1:25", security: none, networks: [10.0.0.1], from: [a@example.com] }';
  expect(await mistakes(section('listeners:', `  - ${open}`, `  - ${open}`))).toEqual([
    'duplicate-listener submission.listeners[1].listen',
  ]);
  expect(await mistakes(section('maxBytesInFlight: 10MiB'))).toEqual(['byte-budget submission.maxBytesInFlight']);
  expect(await mistakes(config('message: { maxSize: 129MiB }\n'))).toEqual(['byte-budget message.maxSize']);
});
