/** The transport's own connection: it does not keep a program alive, and a Redis that is away is told in nodemailer's terms. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { postlaneTransport, withPostlane } from '../../src/nodemailer.ts';
import { createRecordingProducer } from '../../src/producer/recording.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';

const mail = { from: 'app@example.com', to: 'a@example.net', subject: 'Hi', text: 'x' };

test('a program that never calls close() ends by itself, and sends again after the connection was closed', async () => {
  const options = { redis: { url: redisUrl(), prefix: testPrefix() }, idleMs: 100 };
  const program = `
    import { setTimeout } from 'node:timers/promises';
    import { createTransport } from 'nodemailer';
    import { postlaneTransport } from '${join(root, 'src/nodemailer.ts')}';
    const transporter = createTransport(postlaneTransport(${JSON.stringify(options)}));
    for (const round of [1, 2]) {
      console.log((await transporter.sendMail(${JSON.stringify(mail)})).rejected.length);
      await setTimeout(300);
    }`;
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 60_000 });
  expect(stdout).toBe('0\n0\n');
});

test('without Redis verify() and sendMail() are ECONNECTION in time, and close() leaves nothing open', async () => {
  const redis = { url: 'redis://127.0.0.1:1' };
  const transporter = createTransport(postlaneTransport({ redis, timeoutMs: 300 }));
  await expect(transporter.verify()).rejects.toMatchObject({ code: 'ECONNECTION' });
  await expect(transporter.sendMail(mail)).rejects.toMatchObject({ code: 'ECONNECTION' });
  transporter.close();
  await expect(transporter.sendMail(mail)).rejects.toMatchObject({ code: 'ECONNECTION' });
});

test('after a lost answer, the id of the error sends the mail once', async () => {
  const producer = createRecordingProducer({ script: [{ fail: 'redis-unavailable', stored: true }] });
  const transporter = createTransport(postlaneTransport({ producer }));
  const error = await transporter.sendMail(mail).catch((thrown: unknown) => thrown as { readonly id: string });
  const { id } = error;
  expect(await transporter.sendMail(withPostlane(mail, { id }))).toMatchObject({ id, duplicate: true });
  expect(producer.sent).toHaveLength(1);
});
