/**
 * `postlane smtp` and Redis are killed (SIGKILL) while clients submit. Each client sends the same mail again until it gets 250: every
 * mail that was answered arrives, none arrives twice, and what was cut off before the final dot is not there.
 */
import { expect, test } from 'vitest';
import { freePort } from '../../testkit/ports.ts';
import { until } from '../../testkit/until.ts';
import { sink } from '../support/accounting.ts';
import { project, type Project } from '../support/cli.ts';
import { ownRedis } from '../support/own-redis.ts';
import { openSession } from '../support/smtp-session.ts';

/** SUBMISSIONS=5000 for the long run, which takes minutes. */
const count = Number(process.env.SUBMISSIONS ?? 300);
const patienceMs = 120_000 + 100 * count;
const clients = 10;

const config = (smtpPort: number, serverPort: number): string =>
  [
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'metrics: { listen: none }',
    'connectors:',
    `  relay: { direction: outgoing, onUncertain: hold, limits: { concurrency: 5 }, smtp: { host: 127.0.0.1, port: ${serverPort}, security: none } }`,
    'submission:',
    `  listeners: [{ listen: "127.0.0.1:${smtpPort}", security: none, networks: [127.0.0.1], from: ["*@example.com"] }]`,
    '',
  ].join('\n');

const mailOf = (i: number): string =>
  `From: erp@example.com\r\nMessage-ID: <m${i}@example.com>\r\nSubject: ${i}\r\n\r\n${'x'.repeat(i % 50 === 0 ? 90_000 : 200).replaceAll(/.{70}/g, '$&\r\n')}\r\n`;

/** As a client with a queue of its own does: again until the reply is 250. → how many tries it took. */
async function submit(port: number, i: number): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    try {
      const session = await openSession({ port });
      await session.reply();
      await session.say('EHLO client.example.com');
      const said = await session.send({ from: 'erp@example.com', to: [`m${i}@example.net`], data: mailOf(i) });
      session.end();
      if (said.startsWith('250')) return tries;
      if (said.startsWith('5')) throw new Error(`refused for good: ${said}`);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('refused')) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** All of them, some at once. → how often one was sent again. */
async function submitAll(port: number, done: (total: number) => void): Promise<number> {
  const numbers = Array.from({ length: count }, (_, i) => i).values();
  let [total, again] = [0, 0];
  const client = async (): Promise<void> => {
    for (const i of numbers) {
      again += (await submit(port, i)) - 1;
      total += 1;
      done(total);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return again;
}

async function copies(
  here: Project,
  url: string,
  received: { transactions: readonly { to: readonly string[]; accepted: boolean }[] },
) {
  const worker = await here.worker({ env: { REDIS_URL: url } });
  const seen = (): string[] => received.transactions.flatMap(({ to, accepted }) => (accepted ? to : []));
  await until(() => new Set(seen()).size >= count, { what: 'every mail at the server', timeoutMs: patienceMs });
  expect(await worker.end()).toBe(0);
  return seen();
}

test(
  'a submission process that is killed again and again, and Redis with it: each mail that got 250 arrives once',
  async () => {
    const redis = await ownRedis();
    const server = await sink();
    const port = await freePort();
    const here = project(config(port, server.port));
    const env = { REDIS_URL: redis.url };
    let smtp = await here.smtp({ env });
    const marks = [0.15, 0.4, 0.6, 0.8].map((part) => Math.floor(part * count));
    let total = 0;
    const submitting = submitAll(port, (now) => (total = now));
    for (const [round, mark] of marks.entries()) {
      await until(() => total >= mark, { what: `${mark} submissions`, timeoutMs: patienceMs });
      if (round % 2 === 0) {
        smtp.child.kill('SIGKILL');
        await smtp.ended();
        smtp = await here.smtp({ env });
      } else {
        await redis.kill();
        await redis.restart();
      }
    }
    const again = await submitting;
    expect(again).toBeGreaterThan(0);
    expect(await smtp.end()).toBe(0);
    const seen = await copies(here, redis.url, server.received);
    expect(seen.toSorted()).toEqual(Array.from({ length: count }, (_, i) => `m${i}@example.net`).toSorted());
  },
  2 * patienceMs,
);

test('what is cut off at any step before the final dot is not sent, and what is cut off behind it is sent once', async () => {
  const redis = await ownRedis();
  const server = await sink();
  const port = await freePort();
  const here = project(config(port, server.port));
  const smtp = await here.smtp({ env: { REDIS_URL: redis.url } });
  const lines = ['EHLO me', 'MAIL FROM:<erp@example.com>', 'RCPT TO:<cut@example.net>', 'DATA'];
  for (let step = 0; step <= lines.length; step += 1) {
    const session = await openSession({ port });
    await session.reply();
    for (const line of lines.slice(0, step)) await session.say(line);
    if (step === lines.length) session.write(`${mailOf(0)}.\r`);
    session.socket().destroy();
  }
  await smtp.logged('submission-aborted');
  const impatient = await openSession({ port });
  await impatient.reply();
  for (const line of [...lines.slice(0, 2), 'RCPT TO:<m0@example.net>', 'DATA']) await impatient.say(line);
  impatient.write(`${mailOf(0)}.\r\n`);
  await smtp.logged('submitted');
  impatient.socket().destroy();
  expect(await submit(port, 0)).toBe(1);
  expect(smtp.of('submitted').map(({ duplicate }) => duplicate)).toEqual([false, true]);
  const worker = await here.worker({ env: { REDIS_URL: redis.url } });
  await worker.logged('sent');
  expect(await worker.end()).toBe(0);
  expect(server.received.transactions.map(({ to }) => to)).toEqual([['m0@example.net']]);
});
