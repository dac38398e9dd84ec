/** Mail programs submit as their users have them do it, and each mail that got 250 arrives once. A program that is not installed is skipped. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import { expect, test } from 'vitest';
import { hashPassword } from '../../src/submission/password.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { until } from '../../testkit/until.ts';
import { project, type Project, type WorkerProcess } from '../support/cli.ts';
import { startTestServer, type TestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';

const run = promisify(execFile);
const password = 'correct-horse-battery';
const has = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, [...args, '--version'], { stdio: 'ignore' }).error === undefined;

interface Started {
  readonly here: Project;
  readonly server: TestServer;
  readonly worker: WorkerProcess;
  /** STARTTLS, implicit TLS, and plain text for this machine. */
  readonly ports: readonly [number, number, number];
  readonly ca: string;
  /** The mails at the server, once there are so many. */
  readonly arrived: (count: number) => Promise<readonly { readonly to: readonly string[]; readonly bytes: Buffer }[]>;
}

async function start(): Promise<Started> {
  const server = await startTestServer({ extensions: ['PIPELINING', '8BITMIME', 'SIZE 62914560'] });
  const { server: own, ca } = await createCertificates();
  const tls = 'tls: { cert: tls.crt, key: tls.key }';
  const here = project(
    server.config(testPrefix(), {}, [
      'metrics: { listen: none }',
      'message: { maxSize: 60MiB }',
      'submission:',
      '  listeners:',
      `    - { listen: "127.0.0.1:0", security: starttls, ${tls} }`,
      `    - { listen: "127.0.0.2:0", security: tls, ${tls} }`,
      '    - { listen: "127.0.0.3:0", security: none, networks: [127.0.0.0/8], from: ["*@example.com"] }',
      '  users:',
      `    - { user: erp, password: "${await hashPassword(password)}", from: ["*@example.com"] }`,
    ]),
  );
  here.write('tls.crt', own.cert);
  here.write('tls.key', own.key);
  const worker = await here.worker({ args: ['--smtp'] });
  await worker.logged('smtp-listening', 3);
  const [a, b, c] = worker.of('smtp-listening').map(({ port }) => Number(port));
  return {
    here,
    server,
    worker,
    ports: [a!, b!, c!],
    ca: here.write('ca.pem', ca),
    async arrived(count) {
      await until(() => server.received.transactions.length >= count, { what: `${count} mails`, timeoutMs: 90_000 });
      return server.received.transactions;
    },
  };
}

const subjects = (mails: readonly { readonly bytes: Buffer }[]): string[] =>
  mails
    .map(({ bytes }) => /^Subject: (.*?)\r$/m.exec(bytes.toString('latin1', 0, 4_096))?.[1] ?? '')
    .toSorted((a, b) => (a < b ? -1 : 1));

/** What a program that failed has printed. */
const outputOf = (ended: Promise<unknown>): Promise<string> =>
  ended.then(
    () => 'it did not fail',
    (error: { readonly stdout: string }) => error.stdout,
  );

test.skipIf(!has('swaks'))(
  'swaks: PLAIN and LOGIN, STARTTLS, implicit TLS and plain text, pipelined, a hundred recipients',
  async () => {
    const { ports, here, arrived, worker } = await start();
    const swaks = (subject: string, ...args: readonly string[]) =>
      run('swaks', ['--from', 'erp@example.com', '--h-Subject', subject, '--timeout', '60', ...args], {
        cwd: here.folder,
      });
    const login = ['-au', 'erp', '-ap', password];
    const to = ['--to', 'a@example.net'];
    await swaks('plain', '--server', `127.0.0.1:${ports[0]}`, '-tls', '--auth', 'PLAIN', ...login, ...to);
    await swaks('login', '--server', `127.0.0.1:${ports[0]}`, '-tls', '--auth', 'LOGIN', ...login, ...to);
    await swaks('implicit', '--server', `127.0.0.2:${ports[1]}`, '-tlsc', '--auth', 'PLAIN', ...login, ...to);
    await swaks('pipelined', '--server', `127.0.0.3:${ports[2]}`, '--pipeline', ...to);
    const many = Array.from({ length: 100 }, (_, i) => `r${i}@example.net`).join(',');
    await swaks('many', '--server', `127.0.0.3:${ports[2]}`, '--to', many);
    const mails = await arrived(5);
    expect(subjects(mails)).toEqual(['implicit', 'login', 'many', 'pipelined', 'plain']);
    expect(Math.max(...mails.map(({ to: each }) => each.length))).toBe(100);
    const wrong = await outputOf(
      swaks('wrong', '--server', `127.0.0.1:${ports[0]}`, '-tls', '--auth', 'PLAIN', '-au', 'erp', '-ap', 'x', ...to),
    );
    expect(wrong).toContain('535 5.7.8');
    const spoofed = await outputOf(
      swaks('spoofed', '--server', `127.0.0.3:${ports[2]}`, ...to, '--h-From', 'boss@example.org'),
    );
    expect(spoofed).toContain('550 5.7.1');
    expect(await worker.end()).toBe(0);
  },
);

test.skipIf(!has('python3'))('Python’s smtplib: 40 MB and a mail that begins with dots, over TLS', async () => {
  const { ports, here, arrived, worker, ca } = await start();
  const program = `
import smtplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with smtplib.SMTP('localhost', int(sys.argv[1])) as smtp:
    smtp.starttls(context=context)
    smtp.login('erp', '${password}')
    smtp.sendmail('erp@example.com', ['a@example.net'], b'From: erp@example.com\\r\\nSubject: dots\\r\\n\\r\\n.\\r\\n..\\r\\n.x\\r\\n')
    line = b'x' * 76 + b'\\r\\n'
    smtp.sendmail('erp@example.com', ['a@example.net'], b'From: erp@example.com\\r\\nSubject: large\\r\\n\\r\\n' + line * 525000)
`;
  writeFileSync(join(here.folder, 'send.py'), program);
  await run('python3', ['send.py', String(ports[0]), ca], { cwd: here.folder });
  const mails = await arrived(2);
  expect(subjects(mails)).toEqual(['dots', 'large']);
  const [small, large] = mails.toSorted((a, b) => a.bytes.length - b.bytes.length);
  expect(small!.bytes.toString().endsWith('\r\n\r\n.\r\n..\r\n.x\r\n')).toBe(true);
  expect(large!.bytes.length - large!.bytes.indexOf('\r\n\r\n')).toBe(4 + 78 * 525_000);
  expect(await worker.end()).toBe(0);
});

test.skipIf(!has('php') || !has('msmtp'))('PHP’s mail() through msmtp', async () => {
  const { ports, here, arrived, worker, ca } = await start();
  const settings = `account default\nhost localhost\nport ${ports[0]}\nauth on\nuser erp\npassword ${password}\ntls on\ntls_starttls on\ntls_trust_file ${ca}\nfrom erp@example.com\n`;
  const file = here.write('msmtprc', settings);
  spawnSync('chmod', ['600', file]);
  const program = `mail('a@example.net', 'php', "Hello\\r\\n", "From: Shop <erp@example.com>");`;
  await run('php', ['-d', `sendmail_path=msmtp -C ${file} -t`, '-r', program]);
  const [mail] = await arrived(1);
  expect(mail?.to).toEqual(['a@example.net']);
  expect(mail?.bytes.toString()).toMatch(/^Message-ID: </im);
  expect(await worker.end()).toBe(0);
});

test('nodemailer: TLS, an attachment and a blind copy', async () => {
  const { ports, arrived, worker, ca } = await start();
  const transport = createTransport({
    host: 'localhost',
    port: ports[0],
    requireTLS: true,
    auth: { user: 'erp', pass: password },
    tls: { ca: readFileSync(ca) },
  });
  const attachment = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
  const { response } = (await transport.sendMail({
    from: 'Shop <erp@example.com>',
    to: 'a@example.net',
    bcc: 'b@example.net',
    subject: 'nodemailer',
    text: 'Grüße',
    attachments: [{ filename: 'scan.pdf', content: attachment }],
  })) as { response: string };
  expect(response).toMatch(/^250 2\.0\.0 queued as /);
  transport.close();
  const [mail] = await arrived(1);
  expect(mail?.to.toSorted()).toEqual(['a@example.net', 'b@example.net']);
  const text = mail!.bytes.toString('latin1');
  expect(text).not.toContain('b@example.net');
  const base64 = text.slice(text.indexOf('filename=scan.pdf')).split('\r\n\r\n')[1]!.split('\r\n--')[0]!;
  expect(Buffer.from(base64, 'base64').equals(attachment)).toBe(true);
  expect(await worker.end()).toBe(0);
});
