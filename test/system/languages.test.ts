/** The examples in other languages, run as their readers run them: against the real API and the real submission, and against servers that are busy. */
import { spawn, spawnSync } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import { simpleParser } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { hashPassword } from '../../src/submission/password.ts';
import { createAuthority, createCertificates } from '../../testkit/certificates.ts';
import { startSmtpServer, type SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { serveApi } from '../support/http-server.ts';
import { testPrefix } from '../support/redis.ts';
import { root, textOf } from '../support/source.ts';

const folder = join(root, 'examples/languages');
const password = 'correct-horse-battery';

interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

const overHttp: Record<string, Program> = {
  Python: { command: 'python3', args: ['send.py', 'zoe@example.net'] },
  PHP: { command: 'php', args: ['send.php', 'zoe@example.net'] },
  'a shell': { command: 'curl', args: ['send.sh', 'message.json'] },
};
const bySmtp: Record<string, Program> = {
  Python: { command: 'python3', args: ['submit.py', 'zoe@example.net'] },
  PHP: { command: 'php', args: ['submit.php', 'zoe@example.net'] },
  'a shell': { command: 'curl', args: ['submit.sh', 'mail.eml', 'zoe@example.net'] },
};

function isMissing({ command }: Program): boolean {
  return spawnSync(command, ['--version']).status !== 0;
}

for (const program of Object.values(overHttp)) {
  if (isMissing(program)) console.warn(`The examples with ${program.command} are not tested: it is not installed`);
}

async function run({ command, args }: Program, env: Readonly<Record<string, string>>) {
  const child = spawn(command === 'curl' ? 'sh' : command, args, { cwd: folder, env: { ...process.env, ...env } });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as unknown, stdout, stderr };
}

interface Request {
  readonly body: unknown;
  readonly headers: IncomingMessage['headers'];
}

interface Answer {
  readonly status: number;
  readonly retryAfter?: string;
  /** The connection is cut before the answer, or within its body. */
  readonly cut?: 'before' | 'within';
}

/** A server that gives these answers, one behind the other, and then says that the message is stored. */
async function busyServer(answers: readonly Answer[]) {
  const requests: Request[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request);
    const { status, retryAfter, cut }: Answer = answers[requests.length] ?? { status: 202 };
    requests.push({ body: JSON.parse(body), headers: request.headers });
    if (cut === 'before') return void request.socket.destroy();
    if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
    response.writeHead(status, { 'content-type': status === 202 ? 'application/json' : 'application/problem+json' });
    if (cut === 'within') return void response.write('{ "id": "m"', () => request.socket.destroy());
    const stored = { id: 'm', state: 'queued', duplicate: false };
    const problem = { status, detail: 'not now', issues: [{ field: 'to', rule: 'address' }] };
    response.end(JSON.stringify(status === 202 ? stored : problem));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const env = { POSTLANE_URL: `http://127.0.0.1:${address.port}`, POSTLANE_TOKEN: 'plk_secret_token' };
  return { requests, env };
}

const schema = z.fromJSONSchema(JSON.parse(textOf('schema/message.schema.json')) as z.core.JSONSchema.JSONSchema);

test('the schema that the examples are judged by refuses a misspelt field and a wrong type', () => {
  expect(schema.safeParse({ to: 'zoe@example.net', text: 'x' }).success).toBe(true);
  expect(schema.safeParse({ to: 'zoe@example.net', txt: 'x' }).success).toBe(false);
  expect(schema.safeParse({ to: 5 }).success).toBe(false);
});

describe.each(Object.entries(overHttp))('the example for %s over HTTP', (_, program) => {
  const skip = isMissing(program);

  test.skipIf(skip)('sends a message once, however often it is run with one key', async () => {
    const { here, mail, port, tokens } = await serveApi({
      tokens: [{ id: 'shop', scopes: ['messages:send'], from: ['sales@example.com'] }],
    });
    const worker = await here.worker();
    const env = {
      POSTLANE_URL: `http://127.0.0.1:${port}`,
      POSTLANE_TOKEN: tokens.get('shop')!,
      IDEMPOTENCY_KEY: 'order-4711',
    };
    const first = await run(program, env);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/queued/);
    await worker.logged('sent');
    const again = await run(program, env);
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toMatch(/again|"duplicate":true/);
    expect(mail.received.transactions).toHaveLength(1);
    const parsed = await simpleParser(mail.received.transactions[0]!.bytes);
    expect(parsed.from?.value).toEqual([{ name: 'Sales', address: 'sales@example.com' }]);
    expect(parsed.subject).toMatch(/^(?:Größe und Farbe|Welcome)$/);
    expect(parsed.html).toContain('<b>here</b>');
    expect(parsed.attachments.map(({ filename, content }) => [filename, content.toString().trim()])).toEqual([
      ['terms.txt', 'Be kind.'],
    ]);
    const refused = await run(program, { ...env, POSTLANE_TOKEN: 'plk_wrong', IDEMPOTENCY_KEY: 'order-4712' });
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('unauthenticated');
  });

  test.skipIf(skip)('asks again after 429 and 503, with the same key and a message that fits the schema', async () => {
    const { requests, env } = await busyServer([
      { status: 429, retryAfter: '0' },
      { status: 503, retryAfter: '1' },
    ]);
    const ended = await run(program, env);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^.*\bm\b.*queued/);
    expect(requests).toHaveLength(3);
    expect(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(requests[0]?.headers['idempotency-key']).toMatch(/^[\w-]{32,}$/);
    expect(requests[0]?.headers).toMatchObject({
      authorization: 'Bearer plk_secret_token',
      'content-type': 'application/json',
    });
    for (const { body } of requests) expect(schema.safeParse(body)).toMatchObject({ success: true });
  });

  test.skipIf(skip)('asks again after a connection that breaks off, before the answer and within it', async () => {
    const { requests, env } = await busyServer([
      { status: 202, cut: 'before' },
      { status: 202, cut: 'within' },
    ]);
    const ended = await run(program, env);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^.*\bm\b.*queued/);
    expect(requests).toHaveLength(3);
    expect(new Set(requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });

  test.skipIf(skip)('does not ask before the server allows it: a wait that is too long is an error', async () => {
    const { requests, env } = await busyServer([{ status: 429, retryAfter: '7200' }]);
    const ended = await run(program, { ...env, IDEMPOTENCY_KEY: 'order-4713' });
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toContain('order-4713');
    expect(ended.stderr).toContain('7200 s');
    expect(requests).toHaveLength(1);
  });

  test.skipIf(skip)('does not ask again after 422, and says what is wrong and fails', async () => {
    const { requests, env } = await busyServer([{ status: 422 }]);
    const ended = await run(program, env);
    expect(ended.code).not.toBe(0);
    expect(ended.stderr).toContain('"rule":"address"');
    expect(ended.stderr + ended.stdout).not.toContain('plk_secret_token');
    expect(requests).toHaveLength(1);
  });
});

describe.each(Object.entries(bySmtp))('the example for %s by SMTP', (name, program) => {
  const skip = isMissing(program);

  test.skipIf(skip)(
    'submits a mail over TLS that arrives, and neither without the right password nor to a server that it cannot trust',
    async () => {
      const server = await startTestServer();
      const { server: pair, ca } = await createCertificates();
      const listener = '{ listen: "127.0.0.1:0", security: starttls, tls: { cert: tls.crt, key: tls.key } }';
      const user = `{ user: erp, password: "${await hashPassword(password)}", from: ["sales@example.com"] }`;
      const here = project(
        server.config(testPrefix(), {}, [
          'metrics: { listen: "127.0.0.1:0" }',
          `submission: { listeners: [${listener}], users: [${user}] }`,
        ]),
      );
      here.write('tls.crt', pair.cert);
      here.write('tls.key', pair.key);
      const smtp = await here.smtp();
      const { port } = await smtp.logged('smtp-listening');
      const worker = await here.worker();
      const env = {
        POSTLANE_SMTP: `localhost:${String(port)}`,
        POSTLANE_USER: 'erp',
        POSTLANE_PASSWORD: password,
        POSTLANE_CA: here.write('ca.crt', ca),
        MESSAGE_ID: '<invoice-17@example.com>',
      };
      const first = await run(program, env);
      expect(first).toMatchObject({ code: 0, stderr: '' });
      await worker.logged('sent');
      const [received] = server.received.transactions;
      expect(received).toMatchObject({ from: 'sales@example.com', to: ['zoe@example.net'] });
      const parsed = await simpleParser(received!.bytes);
      expect(parsed.subject).toBe(name === 'a shell' ? 'Welcome' : 'Größe und Farbe');
      expect(parsed.text?.trim()).toBe('Good to have you here.');
      const wrong = await run(program, { ...env, POSTLANE_PASSWORD: 'wrong-password' });
      expect(wrong.code).not.toBe(0);
      expect(wrong.stderr).toContain('535');
      expect(wrong.stderr + wrong.stdout).not.toContain('wrong-password');
      const untrusted = await run(program, {
        ...env,
        POSTLANE_CA: here.write('other.crt', (await createAuthority('Another CA', new Date())).ca),
      });
      expect(untrusted.code).not.toBe(0);
      expect(untrusted.stderr).toMatch(/certificate/i);
      expect(server.received.transactions).toHaveLength(1);
    },
  );

  test.skipIf(skip)('tries again after 4yz, and not after 5yz', async () => {
    const { server: pair, ca } = await createCertificates();
    const place = project('');
    const script: SmtpServerOptions['script'] = {
      MAIL: ['451 4.3.0 later'],
      '.': ['250 2.0.0 ok', '554 5.6.0 no'],
    };
    const server = await startSmtpServer({ tls: pair, auth: { user: 'erp', password }, script });
    onTestFinished(() => server.stop());
    const env = {
      POSTLANE_SMTP: `localhost:${server.port}`,
      POSTLANE_USER: 'erp',
      POSTLANE_PASSWORD: password,
      POSTLANE_CA: place.write('ca.crt', ca),
    };
    expect(await run(program, env)).toMatchObject({ code: 0 });
    expect(server.received.commands.filter((line) => /^mail /i.test(line))).toHaveLength(2);
    const refused = await run(program, env);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('554');
    expect(server.received.transactions.map(({ accepted, secure }) => [accepted, secure])).toEqual([
      [true, true],
      [false, true],
    ]);
  });
});
