/**
 * `postlane smtp` is killed (SIGKILL) around the step that stores a mail with an id of the client's own (`X-Postlane-Id`), and the client
 * sends it again. Meanwhile another application may have taken the id: then 250 would lose the mail.
 */
import { expect, onTestFinished, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { freePort } from '../../testkit/ports.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import { hashPassword } from '../../src/submission/password.ts';
import { sink } from '../support/accounting.ts';
import { project } from '../support/cli.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { openSession, type SmtpSession } from '../support/smtp-session.ts';

const password = 'correct-horse-battery';
/** In the command that stores the mail, and in no other. */
const step = 'the step of this test';
const mail = {
  from: 'erp@example.com',
  to: ['mine@example.net'],
  data: `X-Postlane-Id: order-7\r\nFrom: erp@example.com\r\nSubject: ${step}\r\n\r\nx\r\n`,
};
const other = { id: 'order-7', from: 'shop@example.com', to: 'other@example.net', text: 'another message' };

async function config(smtpPort: number, serverPort: number): Promise<string> {
  return [
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'metrics: { listen: none }',
    'connectors:',
    `  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: ${serverPort}, security: none } }`,
    'submission:',
    `  listeners: [{ listen: "127.0.0.1:${smtpPort}", security: tls, tls: { cert: tls.crt, key: tls.key } }]`,
    `  users: [{ user: erp, password: "${await hashPassword(password)}", from: [erp@example.com], options: true }]`,
    '',
  ].join('\n');
}

async function login(port: number, ca: string): Promise<SmtpSession> {
  const session = await openSession({ port, tls: { ca } });
  await session.reply();
  await session.say('EHLO client.example.com');
  await session.login('erp', password);
  return session;
}

/** A process that is killed at the step, and another one that is there afterwards. `where`: `after` Redis has done it, or `before`. */
async function killed(where: 'before' | 'after') {
  const redis = await ownRedis();
  const server = await sink();
  const proxy = await startStepProxy(redis.port, step, where);
  onTestFinished(() => proxy.stop());
  const port = await freePort();
  const { server: certificate, ca } = await createCertificates();
  const here = project(await config(port, server.port));
  here.write('tls.crt', certificate.cert);
  here.write('tls.key', certificate.key);
  const producer = testProducer('{postlane}', { url: redis.url });
  // Redis then knows the script, and one command is the whole step.
  await producer.send({ ...other, id: 'before' });
  expect(await producer.cancel('before')).toBe(true);
  const first = await here.smtp({ env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}` } });
  const session = await login(port, ca);
  for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<mine@example.net>', 'DATA']) await session.say(line);
  proxy.arm();
  session.write(`${mail.data}.\r\n`);
  await until(proxy.reached, { what: 'the step' });
  // Redis has done what it was given when its next answer is there.
  await redis.admin.ping();
  first.child.kill('SIGKILL');
  await first.ended();
  proxy.cut();
  const env = { REDIS_URL: redis.url };
  await here.smtp({ env });
  const again = async (): Promise<string> => {
    const next = await login(port, ca);
    const said = await next.send(mail);
    next.end();
    return said;
  };
  const delivered = async (): Promise<string[]> => {
    const worker = await here.worker({ env });
    await until(async () => (await producer.status('order-7'))?.state === 'sent', { what: 'the message to be sent' });
    expect(await worker.end()).toBe(0);
    return server.received.transactions.flatMap(({ to }) => to);
  };
  return { producer, again, delivered };
}

test('killed before it is stored, the same mail is stored when it comes again, and sent once', async () => {
  const { producer, again, delivered } = await killed('before');
  expect(await producer.status('order-7')).toBeNull();
  expect([await again(), await again()]).toEqual(Array.from({ length: 2 }, () => '250 2.0.0 queued as order-7'));
  expect(await delivered()).toEqual(['mine@example.net']);
  expect(await again()).toBe('250 2.0.0 queued as order-7');
});

test('killed before it is stored, it is refused when it comes again, where another application has taken its id', async () => {
  const { producer, again, delivered } = await killed('before');
  expect(await producer.send(other)).toEqual({ id: 'order-7', duplicate: false });
  expect([await again(), await again()].map((said) => said.slice(0, 9))).toEqual(['554 5.6.0', '554 5.6.0']);
  expect(await delivered()).toEqual(['other@example.net']);
  expect(await again()).toMatch(/^554 5\.6\.0 /);
});

test('killed when it is stored, the same mail is that message when it comes again, and sent once', async () => {
  const { producer, again, delivered } = await killed('after');
  expect(await producer.send(other)).toEqual({ id: 'order-7', duplicate: true });
  expect([await again(), await again()]).toEqual(Array.from({ length: 2 }, () => '250 2.0.0 queued as order-7'));
  expect(await delivered()).toEqual(['mine@example.net']);
  expect(await again()).toBe('250 2.0.0 queued as order-7');
});
