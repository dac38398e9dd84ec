/** `smtp` and `worker --smtp` as processes, and `password`: from a client's 250 to the server that gets the mail. */
import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { parsePasswordHash } from '../../src/config/password-hash.ts';
import { verifyPassword } from '../../src/submission/password.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { until } from '../../testkit/until.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';
import { openSession, type SmtpSession } from '../support/smtp-session.ts';

const open = '{ listen: "127.0.0.1:0", security: none, networks: [127.0.0.1], from: ["*@example.com"] }';
const quiet = 'metrics: { listen: "127.0.0.1:0" }';
const section = `submission: { listeners: [${open}] }`;
const mail = {
  from: 'erp@example.com',
  to: ['a@example.net'],
  data: 'From: erp@example.com\r\nSubject: hello\r\n\r\n..\r\n...hidden\r\n',
};

/** Listens before it reaches Redis, and says 421 until then. */
async function openReady(options: Parameters<typeof openSession>[0]): Promise<SmtpSession> {
  return until(
    async () => {
      const session = await openSession(options);
      if ((await session.reply()).startsWith('220')) return session;
      session.end();
      return null;
    },
    { what: 'a server that takes mail' },
  );
}

async function submit(port: unknown): Promise<string> {
  const session = await openReady({ port: Number(port) });
  await session.say('EHLO client.example.com');
  const said = await session.send(mail);
  session.end();
  return said;
}

test('what `smtp` takes, a worker sends; it drains on SIGTERM', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, [quiet, section]));
  const smtp = await here.smtp();
  const said = await submit((await smtp.logged('smtp-listening'))['port']);
  const id = /^250 2\.0\.0 queued as (\S+)$/.exec(said)?.[1] ?? said;
  expect(await smtp.logged('submitted')).toMatchObject({ id, user: '127.0.0.1:0', recipients: 1, duplicate: false });
  const worker = await here.worker();
  await until(() => server.received.transactions.length === 1, { what: 'the mail at the server' });
  const [got] = server.received.transactions;
  expect(got).toMatchObject({ from: 'erp@example.com', to: ['a@example.net'] });
  const text = got!.bytes.toString();
  expect(text).toContain('\r\n\r\n.\r\n..hidden\r\n');
  expect(text).toMatch(/^Message-ID: <[\w.-]+@example\.com>\r?$/m);
  expect(text).toMatch(/^Date: /m);
  expect((await here.callJson(['status', id])).values[0]).toMatchObject({ id, state: 'sent' });
  expect(await smtp.end()).toBe(0);
  expect(smtp.lines().at(-1)).toMatchObject({ event: 'smtp-stopped', drained: true });
  expect(await worker.end()).toBe(0);
});

test('`worker --smtp` takes and sends in one process, and shows both in its metrics', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, [quiet, section]));
  const worker = await here.worker({ args: ['--smtp'] });
  expect(await submit((await worker.logged('smtp-listening'))['port'])).toMatch(/^250 /);
  await worker.logged('sent');
  const { port } = await worker.logged('metrics-listening');
  const body = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
  expect(body).toContain('postlane_smtp_submissions_total{outcome="accepted"} 1');
  expect(body).toContain('postlane_messages_settled_total{state="sent"} 1');
  expect(await worker.end()).toBe(0);
});

test('without Redis `smtp` listens, says 421, is not ready, and takes mail once Redis is there', async () => {
  const redis = await startPrivateRedis();
  onTestFinished(() => redis.stop());
  await redis.kill();
  const server = await startTestServer();
  const here = project(server.config('{postlane}', {}, [quiet, section]));
  const smtp = await here.smtp({ env: { REDIS_URL: redis.url } });
  const { port } = await smtp.logged('smtp-listening');
  const health = Number((await smtp.logged('metrics-listening'))['port']);
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${health}${path}`)).status;
  const session = await openSession({ port: Number(port) });
  expect(await session.reply()).toBe('421 4.3.2 Cannot take mail at the moment; try again later');
  expect([await status('/livez'), await status('/readyz')]).toEqual([200, 503]);
  await redis.restart();
  await until(async () => (await status('/readyz')) === 200, { what: 'ready' });
  expect(await submit(port)).toMatch(/^250 /);
  expect(await smtp.end()).toBe(0);
});

test('`smtp` without listeners is a mistake in the configuration', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  const ended = await here.run(['smtp']);
  expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining('submission.listeners') as string });
});

test('a renewed certificate and another user are in force after a reload; an address needs a restart', async () => {
  const server = await startTestServer();
  const { server: one, commonNameOnly: two, ca } = await createCertificates();
  const prefix = testPrefix();
  const listener = (port: number) =>
    `{ listen: "127.0.0.1:${port}", security: starttls, tls: { cert: tls.crt, key: tls.key } }`;
  const here = project('');
  here.write('tls.crt', one.cert);
  here.write('tls.key', one.key);
  here.write('postlane.yaml', server.config(prefix, {}, [quiet, `submission: { listeners: [${listener(0)}] }`]));
  const smtp = await here.smtp();
  const port = Number((await smtp.logged('smtp-listening'))['port']);
  const names = async (): Promise<string | undefined> => {
    const session = await openReady({ port });
    await session.say('EHLO me');
    await session.say('STARTTLS');
    await session.startTls({ ca, checkServerIdentity: () => undefined });
    const socket = session.socket();
    const found = 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate() : null;
    session.end();
    return found?.subjectaltname;
  };
  expect(await names()).toContain('localhost');
  here.write('tls.crt', two.cert);
  here.write('tls.key', two.key);
  smtp.child.kill('SIGHUP');
  await smtp.logged('config-applied');
  expect(await names()).toBe(undefined);
  const changed = server.config(prefix, {}, [quiet, `submission: { listeners: [${listener(1)}] }`]);
  const encryption = `encryption: { active: k1, keys: { k1: "${'ab'.repeat(32)}" } }`;
  // In a run whose bodies are sealed, it is there already.
  here.write('postlane.yaml', `${changed.replace(/^encryption: .*$/m, '')}\n${encryption}\n`);
  smtp.child.kill('SIGHUP');
  expect(await smtp.logged('restart-needed')).toMatchObject({ keys: ['encryption', 'submission.listeners'] });
  expect(await smtp.end()).toBe(0);
});

test('another `message.maxSize` is in force at once, for what is offered and for what is stored', async () => {
  const server = await startTestServer();
  const prefix = testPrefix();
  const sized = (size: string): string => server.config(prefix, {}, [quiet, section, `message: { maxSize: ${size} }`]);
  const here = project(sized('64KiB'));
  const smtp = await here.smtp();
  const { port } = await smtp.logged('smtp-listening');
  const session = await openReady({ port: Number(port) });
  await session.say('EHLO client.example.com');
  const large = { ...mail, data: `${mail.data}${`${'x'.repeat(70)}\r\n`.repeat(1_500)}` };
  expect(await session.send(large)).toMatch(/^552 /);
  here.write('postlane.yaml', sized('1MiB'));
  smtp.child.kill('SIGHUP');
  await smtp.logged('config-applied');
  expect(await session.send({ ...large, parameters: ' SIZE=110000' })).toMatch(/^250 2\.0\.0 queued as /);
  expect(smtp.of('restart-needed')).toEqual([]);
  expect(await smtp.end()).toBe(0);
});

test('a token of the API with messages:send logs in, one without does not', async () => {
  const server = await startTestServer();
  const { server: own, ca } = await createCertificates();
  const secret = 'pl_0123456789abcdefghijklmnopqrstuvwxyz';
  const sha256 = createHash('sha256').update(secret).digest('hex');
  const reader = createHash('sha256').update(`${secret}r`).digest('hex');
  const here = project(
    server.config(testPrefix(), {}, [
      quiet,
      'submission: { listeners: [{ listen: "127.0.0.1:0", security: tls, tls: { cert: tls.crt, key: tls.key } }] }',
      'api:',
      '  tokens:',
      `    - { id: shop, sha256: "${sha256}", scopes: ["messages:send"], from: ["*@example.com"], ratePerMinute: 1 }`,
      `    - { id: reader, sha256: "${reader}", scopes: [viewer] }`,
    ]),
  );
  here.write('tls.crt', own.cert);
  here.write('tls.key', own.key);
  const smtp = await here.smtp();
  const port = Number((await smtp.logged('smtp-listening'))['port']);
  const session = await openReady({ port, tls: { ca } });
  await session.say('EHLO me');
  expect(await session.login('reader', `${secret}r`)).toMatch(/^535 /);
  expect(await session.login('other', secret)).toMatch(/^535 /);
  expect(await session.login('shop', secret)).toMatch(/^235 /);
  expect(await session.send(mail)).toMatch(/^250 /);
  expect(await session.say('MAIL FROM:<erp@example.org>')).toMatch(/^553 5\.7\.1 /);
  expect(await session.say('MAIL FROM:<erp@example.com>')).toMatch(/^450 4\.7\.1 /);
  expect(await smtp.end()).toBe(0);
});

test('`password` prints the hash of what it reads as its last line, without a configuration', async () => {
  const here = project('');
  const ended = await here.call(['password'], { input: 'correct horse battery\n' });
  expect(ended.code).toBe(0);
  const hash = ended.stdout.trimEnd().split('\n').at(-1) ?? '';
  expect(await verifyPassword('correct horse battery', hash)).toBe(true);
  const made = await here.callJson(['password', '--generate']);
  const [{ password, hash: of } = {}] = made.values;
  expect(await verifyPassword(String(password), String(of))).toBe(true);
});

test.each([
  ['nothing', ''],
  ['a short one', 'short\n'],
  ['two lines', 'correct horse battery\nstaple\n'],
  ['kilobytes', 'x'.repeat(2_000)],
])('`password` refuses %s', async (_what, input) => {
  const ended = await project('').call(['password'], { input });
  expect(ended.code).toBe(2);
  expect(parsePasswordHash(ended.stdout.trim())).toBe(null);
});

test('`password` takes no password as an argument, where every process could read it', async () => {
  const ended = await project('').call(['password', 'hunter2hunter2']);
  expect(ended.code).toBe(2);
});
