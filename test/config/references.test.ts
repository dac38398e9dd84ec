/** References to the environment and to files, and that nothing of what they hold is ever printed. */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { formatIssues } from '../../src/config/issues.ts';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const smtp = (keys: string) => withConnector(`direction: outgoing\nsmtp: { host: a.example, ${keys} }`);
const passwordOf = async (text: string, surroundings: Parameters<typeof loadText>[1]) => {
  const transport = (await goodConfig(text, surroundings)).connectors[0]?.transport;
  return transport?.kind === 'smtp' ? transport.smtp.auth?.password : undefined;
};

describe('references', () => {
  const auth = (password: string) => smtp(`auth: { user: u, password: '${password}' }`);

  test('read the environment, whole or as a part', async () => {
    expect(await passwordOf(auth('${A}'), { env: { A: 'x' } })).toBe('x');
    expect(await passwordOf(auth('a-${A}-${B}$'), { env: { A: 'x', B: 'y' } })).toBe('a-x-y$');
  });

  test('read a file without the line ends that close it', async () => {
    const files = { '/run/secrets/p': 'sec\nret\r\n', '/etc/postlane/near': ' p \n\n' };
    expect(await passwordOf(auth('${file:/run/secrets/p}'), { files })).toBe('sec\nret');
    expect(await passwordOf(auth('${file:near}'), { files })).toBe(' p ');
  });

  test('read a credential of the unit that systemd has started', async () => {
    const files = { '/run/credentials/postlane-worker.service/relay': 'secret\n' };
    const env = { CREDENTIALS_DIRECTORY: '/run/credentials/postlane-worker.service' };
    expect(await passwordOf(auth('${credential:relay}'), { env, files })).toBe('secret');
    expect(await onlyIssue(auth('${credential:other}'), { env, files })).toMatchObject({ rule: 'missing-file' });
    const outside = await onlyIssue(auth('${credential:relay}'), { files });
    expect(outside).toMatchObject({ rule: 'missing-variable' });
    expect(outside.message).toContain('CREDENTIALS_DIRECTORY');
  });

  test.each(['../../etc/shadow', '/etc/shadow', '..', '.', '', 'a/b', 'x'.repeat(256)])(
    'to a credential outside of the folder of credentials are refused: %s',
    async (name) => {
      const env = { CREDENTIALS_DIRECTORY: '/run/credentials/postlane-worker.service' };
      const files = { '/etc/shadow': 'secret' };
      const issue = await onlyIssue(auth(`\${credential:${name}}`), { env, files });
      expect(issue).toMatchObject({ rule: 'bad-reference' });
    },
  );

  test('are written as text with $${', async () => {
    expect(await passwordOf(auth('$${A}${A}'), { env: { A: 'x' } })).toBe('${A}x');
  });

  test('are not searched for in the text of a reference', async () => {
    expect(await passwordOf(auth('${A}'), { env: { A: '${B}' } })).toBe('${B}');
  });

  test('can be a number or a boolean if they are the whole value', async () => {
    const text = smtp('port: "${PORT}", allowInsecureAuth: "${INSECURE}"');
    const config = await goodConfig(text, { env: { PORT: '2525', INSECURE: 'true' } });
    expect(config.connectors[0]?.transport).toMatchObject({ smtp: { port: 2525, allowInsecureAuth: true } });
    expect(await mistakes(text, { env: { PORT: '2525x', INSECURE: 'yes' } })).toEqual([
      '6 port connectors.c.smtp.port',
      '6 type connectors.c.smtp.allowInsecureAuth',
    ]);
    expect(await mistakes(smtp('port: "25${P}"'), { env: { P: '25' } })).toEqual(['6 port connectors.c.smtp.port']);
  });

  test('never turn a password of digits into a number', async () => {
    expect(await passwordOf(auth('${A}'), { env: { A: '0123' } })).toBe('0123');
  });

  test('to a missing variable are reported with its name, and affect nothing else', async () => {
    const issue = await onlyIssue(smtp('port: "${PORT}", auth: { user: u, password: p }'));
    expect(issue).toMatchObject({ key: 'connectors.c.smtp.port', rule: 'missing-variable', line: 6 });
    expect(issue.message).toContain('PORT');
  });

  test('to a missing file are reported with its path', async () => {
    const issue = await onlyIssue(auth('${file:/run/secrets/none}'));
    expect(issue).toMatchObject({ key: 'connectors.c.smtp.auth.password', rule: 'missing-file', line: 6 });
    expect(issue.message).toContain('/run/secrets/none, which cannot be read (ENOENT)');
  });

  test('of one value that miss twice are reported twice', async () => {
    expect(await mistakes(auth('${A}${B}'))).toEqual([
      '6 missing-variable connectors.c.smtp.auth.password',
      '6 missing-variable connectors.c.smtp.auth.password',
    ]);
  });

  test.each(['${', '${A', '${}', '${A-B}', '${A:-x}', '${file:}', '${ A }', '${env:A}'])(
    'of another form are refused: %s',
    async (password) => {
      expect(await mistakes(auth(password), { env: { A: 'x' } })).toEqual([
        '6 bad-reference connectors.c.smtp.auth.password',
      ]);
    },
  );

  test('to an empty variable make an empty value, which every key refuses', async () => {
    expect(await mistakes(auth('${A}'), { env: { A: '' } })).toEqual(['6 empty connectors.c.smtp.auth.password']);
  });

  test('in a comment or a key are not references', async () => {
    expect(await mistakes(`# \${NONE}\n${smtp('port: 25')}`)).toEqual([]);
  });
});

describe('the private CA', () => {
  const text = (ca: string) => smtp(`tls: { ca: '${ca}' }`);

  test('that cannot be read is refused', async () => {
    expect(await onlyIssue(text('ca.pem'))).toMatchObject({ key: 'connectors.c.smtp.tls.ca', rule: 'missing-file' });
  });

  test.each(['ca', '-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----'])(
    'that is no certificate is refused: %s',
    async (ca) => {
      expect(await onlyIssue(text(ca))).toMatchObject({ key: 'connectors.c.smtp.tls.ca', rule: 'certificate' });
    },
  );

  test('that is a key instead of a certificate is refused, and not printed', async () => {
    const files = { '/etc/postlane/key.pem': '-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n' };
    const issue = await onlyIssue(text('key.pem'), { files });
    expect(issue.rule).toBe('certificate');
    expect(inspect(issue)).not.toContain('hunter2');
  });
});

describe('REDIS_URL', () => {
  test('wins over the file, whose own may then be missing or unreadable', async () => {
    const env = { REDIS_URL: 'rediss://u:p@redis.example:6380/1' };
    expect((await goodConfig(smtp('port: 25'), { env })).redis).toMatchObject({ url: env.REDIS_URL });
    const text = `redis: { url: "\${NONE}", prefix: "{mine}" }\n${smtp('port: 25')}`;
    expect((await goodConfig(text, { env })).redis).toEqual({ url: env.REDIS_URL, prefix: '{mine}' });
  });

  test('that is empty is as if not set', async () => {
    const { redis } = await goodConfig(smtp('port: 25'), { env: { REDIS_URL: '' } });
    expect(redis).toMatchObject({ url: 'redis://127.0.0.1:6379' });
  });

  test('that is wrong is named as what it is, without its value', async () => {
    const issue = await onlyIssue(smtp('port: 25'), { env: { REDIS_URL: 'http://:hunter2@x' } });
    expect(issue).toMatchObject({ key: 'redis.url', rule: 'url', file: 'REDIS_URL', line: 0 });
    expect(formatIssues([issue]).join()).not.toContain('hunter2');
  });
});

describe('secrets are never printed', () => {
  const secret = 'hunter2';

  test.each([
    ['a number where a password stands', smtp('auth: { user: u, password: 4071954 }'), '4071954'],
    ['a map where a password stands', smtp(`auth: { user: u, password: { ${secret}: ${secret} } }`), secret],
    ['a password without the space after its colon', smtp(`auth: { user: u, password:${secret} }`), secret],
    ['a password without the space, at the wrong level', smtp(`password:${secret}`), secret],
    ['a password without its key', smtp(`auth: { user: u, ${secret} }`), secret],
    ['a text where a map stands', smtp(`auth: "u:${secret}"`), secret],
    ['a list where a password stands', smtp(`auth: { user: u, password: [${secret}] }`), secret],
    ['an unquoted password that begins with *', smtp(`auth: { user: u, password: *${secret} }`), secret],
    ['an unquoted password that begins with !', smtp(`auth: { user: u, password: !${secret} }`), secret],
    ['an unquoted password that begins with @', smtp(`auth: { user: u, password: @${secret} }`), secret],
    ['an unquoted password that begins with %', smtp(`auth: { user: u, password: %${secret} }`), secret],
    ['a password with a broken escape', smtp(`auth: { user: u, password: "\\q${secret}" }`), secret],
    ['a password without its closing quote', smtp(`auth: { user: u, password: "${secret} }`), secret],
    ['a password after a quoted one', smtp(`auth: { user: u, password: "x" ${secret} }`), secret],
    ['a Redis URL of another kind', `redis: { url: "http://:${secret}@x" }\n${smtp('port: 25')}`, secret],
    ['an empty host in a Redis URL', `redis: { url: "redis://:${secret}@" }\n${smtp('port: 25')}`, secret],
    ['a reference in a host', smtp('port: 25').replace('a.example', '"${S}:"'), secret],
    ['a reference in a port', smtp('port: "${S}"'), secret],
    ['a reference in a choice', smtp('security: "${S}"'), secret],
    ['a reference in an address', withConnector('direction: both\naddress: "${S}"\nsmtp: { host: a.example }'), secret],
    ['a reference in the gateway', smtp('port: 25').replace('Gateway: c', 'Gateway: "${S}"'), secret],
    ['a reference in the hostname', smtp('port: 25').replace('mail.example.com', '"${S} x"'), secret],
    ['a reference in the unmonitored address', `unmonitoredAddress: "\${S}"\n${smtp('port: 25')}`, secret],
    ['a reference in a duration', `worker: { drain: "\${S}" }\n${smtp('port: 25')}`, secret],
  ])('%s', async (_case, text, value) => {
    const result = await loadText(text, { env: { S: secret } });
    expect(result.ok).toBe(false);
    expect(inspect(result, { depth: 10 })).not.toContain(value);
    expect(JSON.stringify(result)).not.toContain(value);
  });

  test('a value in a message cannot forge a line or move the cursor', async () => {
    const issue = await onlyIssue(smtp('security: "x\\n\\e[2Jfake"'));
    expect(issue.message).toMatch(/^[ -~]+$/);
  });
});
