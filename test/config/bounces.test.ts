/** `bounces` and `bouncePath`: which mailboxes are read, which return paths are taken, and what is refused. */
import { expect, test } from 'vitest';
import { goodConfig, loadText, mistakes, withConnector } from './load-text.ts';

const incoming = 'incoming: { protocol: imap, host: i.example, user: u, password: p }';
const smtp = 'smtp: { host: a.example }';
const graphOf = (more = ''): string => `graph: { tenantId: t, clientId: c, credential: { clientSecret: s }${more} }`;
/** Beside a connector that sends, as the one of the block may not. */
const besideRelay = (block: string): string =>
  `${withConnector(block).replace('systemDefaultGateway: c', 'systemDefaultGateway: r').trimEnd()}\n  r: { direction: outgoing, ${smtp} }\n`;
const connectorOf = async (block: string) => (await goodConfig(besideRelay(block))).connectors[0]!;
const read = async (block: string): Promise<string[]> =>
  (await connectorOf(block)).bounces.map((mailbox) =>
    mailbox.protocol === 'imap' ? `imap ${mailbox.login.auth.user}` : `graph ${mailbox.address}`,
  );

test.each([
  [`direction: both\nbounces: true\n${incoming}\n${smtp}`, ['imap u']],
  [`direction: both\nbounces: false\n${incoming}\n${smtp}`, []],
  [`direction: outgoing\nbounces: true\naddress: a@example.com\n${graphOf()}`, ['graph a@example.com']],
  [
    `direction: outgoing\nbounces: true\naddresses: [a@example.com, "*@b.example", c@example.com]\n${graphOf()}`,
    ['graph a@example.com', 'graph c@example.com'],
  ],
  [
    `direction: outgoing\nbounces: true\naddress: a@example.com\n${graphOf(', mailbox: m@example.com')}`,
    ['graph m@example.com'],
  ],
  [`direction: outgoing\nbounces: true\n${graphOf(', mailbox: m@example.com')}`, ['graph m@example.com']],
  [`direction: incoming\nbounces: true\naddress: a@example.com\n${graphOf()}`, ['graph a@example.com']],
  [`direction: both\nbounces: true\naddress: a@example.com\n${incoming}\n${graphOf()}`, ['imap u']],
])('%j reads %j', async (block, expected) => {
  expect(await read(block)).toEqual(expected);
});

test('a connector that only reads by Graph sends nothing', async () => {
  const block = `direction: incoming\nbounces: true\naddress: a@example.com\n${graphOf()}`;
  expect((await connectorOf(block)).transport).toBeNull();
});

test.each([
  ['no mailbox', `direction: both\nbounces: true\n${smtp}`],
  ['POP3', `direction: both\nbounces: true\n${incoming.replace('imap', 'pop3')}\n${smtp}`],
  ['Graph that names no mailbox', `direction: outgoing\nbounces: true\n${graphOf()}`],
  ['Graph for a whole domain', `direction: outgoing\nbounces: true\naddress: "*@example.com"\n${graphOf()}`],
])('%s is a mistake with its line', async (_what, block) => {
  expect(await mistakes(besideRelay(block))).toEqual(['6 bounces-mailbox connectors.c.bounces']);
});

test('one of the requests that Graph takes at once is left to the reading, unless the file says how many', async () => {
  const block = (more: string): string => `direction: outgoing\naddress: a@example.com\n${more}\n${graphOf()}`;
  const concurrency = async (more: string) => (await connectorOf(block(more))).limits.concurrency;
  expect(await concurrency('bounces: false')).toBe(4);
  expect(await concurrency('bounces: true')).toBe(3);
  expect(await concurrency('bounces: true\nlimits: { preset: exchange-online }')).toBe(3);
  expect(await concurrency('bounces: true\nlimits: { concurrency: 4 }')).toBe(4);
  expect(await concurrency(`bounces: true\n${incoming}`)).toBe(4);
});

test.each([
  ['bounces+{id}@Example.COM', 'bounces+{id}@example.com'],
  ['{id}@example.com', '{id}@example.com'],
  ['b-{id}.r@bücher.example', 'b-{id}.r@xn--bcher-kva.example'],
  ['{id}_123456789.abc@example.com', '{id}_123456789.abc@example.com'],
])('the return path %s is taken', async (path, expected) => {
  const block = `direction: outgoing\nbouncePath: "${path}"\n${smtp}`;
  expect((await connectorOf(block)).bouncePath).toBe(expected);
  expect((await connectorOf(`direction: outgoing\n${smtp}`)).bouncePath).toBeNull();
});

test.each([
  'bounces@example.com',
  'bounces+{id}',
  '{id}+{id}@example.com',
  'bounces@{id}.example.com',
  'Name <b+{id}@example.com>',
  '"b {id}"@example.com',
  'b {id}@example.com',
  'bounces-of-the-shop+{id}@example.com',
  'b+{id}@example.com\\r\\nRCPT TO:<x@y.z>',
])('the return path %s is a mistake with its line', async (path) => {
  const block = `direction: outgoing\nbouncePath: ${JSON.stringify(path).replaceAll('\\\\', '\\')}\n${smtp}`;
  expect(await mistakes(besideRelay(block))).toEqual(['6 bounce-path connectors.c.bouncePath']);
});

test.each([
  [
    'Graph, which has no envelope',
    `direction: outgoing\nbouncePath: "b+{id}@example.com"\n${graphOf(', mailbox: m@example.com')}`,
    'graph',
  ],
  ['a connector that never sends', `direction: incoming\nbouncePath: "b+{id}@example.com"\n${incoming}`, 'never sends'],
])('a return path of single mails with %s is a mistake with its line', async (_what, block, said) => {
  const result = await loadText(besideRelay(block));
  expect(result.ok ? [] : result.issues).toMatchObject([
    { line: 6, rule: 'bounce-path-unused', key: 'connectors.c.bouncePath', message: expect.stringContaining(said) },
  ]);
});
