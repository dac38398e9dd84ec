/** The command line as a process: what is on stdout, what is on stderr, exit codes; check --connect, send, status. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { project, type Project } from '../support/cli.ts';
import { testPrefix } from '../support/redis.ts';
import { startTestServer, type TestServer } from '../support/cli-config.ts';
import { root } from '../support/source.ts';

const nowhere = { REDIS_URL: 'redis://127.0.0.1:1' };

function configOf(lines: readonly string[]): string {
  return `hostname: mail.example.com\n${lines.join('\n')}\n`;
}

const plain = configOf([
  'systemDefaultGateway: relay',
  'connectors:',
  '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  sales: { address: sales@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  group: { address: "*@group.example.com", direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
  '  archive: { address: archive@example.com, direction: incoming, incoming: { protocol: pop3, host: pop.example.com, user: a, password: b } }',
]);

describe('a process', () => {
  test('--help exits with 0 and names every command', async () => {
    const ended = await project(plain).run(['--help']);
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    for (const name of ['worker', 'check', 'explain', 'send', 'status', 'connectors', 'pause', 'resume', 'dead']) {
      expect(ended.stdout).toContain(`  ${name}`);
    }
  });

  test('with --json an error is one JSON document on stderr, and stdout is empty', async () => {
    const ended = await project(plain).run(['pause', 'sale', '--json']);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(JSON.parse(ended.stderr)).toEqual({
      error: { code: 'usage', message: expect.stringContaining('Did you mean sales?') as string, issues: [] },
    });
  });

  test('output is not coloured if stdout is not a terminal', async () => {
    const ended = await project(plain).run(['explain', 'sales@example.com']);
    // oxlint-disable-next-line no-control-regex -- escape sequences are what this looks for
    expect(ended.stdout).not.toMatch(/\u001b/);
  });
});

test('without Redis a command exits with 1 and says what to check, and check --connect does even if every connector answers', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  // At once, as each waits some seconds for Redis to come back.
  const [status, check] = await Promise.all([
    here.run(['status', 'some-id'], { env: nowhere }),
    here.callJson(['check', '--connect'], { env: nowhere }),
  ]);
  expect(status).toMatchObject({ code: 1, stdout: '' });
  expect(status.stderr).toMatch(/REDIS_URL/);
  expect(check.code).toBe(1);
  expect(check.values[0]).toMatchObject({ ok: false, redis: { ok: false }, connectors: [{ ok: true }] });
});

describe('check --connect', () => {
  test('names the connector that cannot be reached, and exits with 1', async () => {
    const server = await startTestServer();
    const here = project(
      server.config(testPrefix(), {
        lost: '{ direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none }, address: l@example.com }',
      }),
    );
    const { code, values } = await here.json(['check', '--connect']);
    expect(code).toBe(1);
    expect(values[0]).toMatchObject({
      ok: false,
      redis: { ok: true },
      connectors: [
        { connector: 'relay', transport: 'smtp', ok: true, fault: null },
        { connector: 'lost', transport: 'smtp', ok: false, fault: 'unreachable', code: 'ECONNREFUSED' },
      ],
    });
    expect(server.received.transactions).toEqual([]);
  });

  test('gives up on a server that never greets, after its time limit', async () => {
    const server = await startTestServer({ script: { CONNECT: 'hang' } });
    const here = project(server.config(testPrefix()));
    const { code, values } = await here.callJson(['check', '--connect', '--timeout', '300ms']);
    expect(code).toBe(1);
    expect(values[0]).toMatchObject({ ok: false, connectors: [{ connector: 'relay', ok: false }] });
  });
});

describe('send and status', () => {
  async function setUp(): Promise<{ here: Project; server: TestServer }> {
    const server = await startTestServer();
    const here = project(server.config(testPrefix()));
    await here.worker();
    return { here, server };
  }

  test('--wait exits with 0 once the message is sent with the given content', async () => {
    const { here, server } = await setUp();
    here.write('note.txt', 'a note');
    const { code, stderr, values } = await here.json([
      'send',
      '--wait',
      '--from=Me <me@example.com>',
      '--to="Doe, Jane" <jane@example.net>, joe@example.net',
      '--cc=cc@example.net',
      '--bcc=bcc@example.net',
      '--reply-to=r@example.com',
      '--subject=Grüße',
      '--text=Hello',
      '--html=<p>Hello</p>',
      '--attach=note.txt',
      '--header=X-Order: 4711',
      '--id=order-1',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(values).toEqual([expect.objectContaining({ id: 'order-1', duplicate: false, state: 'sent' })]);
    const [transaction] = server.received.transactions;
    expect(transaction?.from).toBe('me@example.com');
    expect(transaction?.to).toEqual(['jane@example.net', 'joe@example.net', 'cc@example.net', 'bcc@example.net']);
    const mail = transaction?.bytes.toString() ?? '';
    for (const part of ['X-Order: 4711', 'note.txt', 'text/html', 'Reply-To: r@example.com'])
      expect(mail).toContain(part);
    expect(mail).not.toContain('bcc@example.net');
  });

  test('a message is sent once per id, and the second call reports the duplicate', async () => {
    const { here, server } = await setUp();
    const args = [
      'send',
      '--wait',
      '--from',
      'me@example.com',
      '--to',
      'you@example.net',
      '--text',
      'x',
      '--id',
      'once',
    ];
    await here.callJson(args);
    const again = await here.callJson(args);
    expect(again).toMatchObject({ code: 0, values: [{ id: 'once', duplicate: true, state: 'sent' }] });
    expect(server.received.transactions).toHaveLength(1);
  });

  test('--eml sends a file byte for byte, from a path or from stdin', async () => {
    const { here, server } = await setUp();
    const file = join(root, 'test/message/fixtures/plain.eml');
    const bytes = readFileSync(file);
    const wire = bytes.toString('latin1').replaceAll(/\r?\n/g, '\r\n');
    const envelope = ['--from', 'me@example.com', '--to', 'you@example.net'];
    for (const [eml, input] of [
      [file, ''],
      ['-', bytes],
    ] as const) {
      const ended = await here.json(['send', '--wait', '--eml', eml, ...envelope], { input });
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      expect(server.received.transactions.at(-1)?.bytes.toString('latin1')).toBe(wire);
    }
    expect(server.received.transactions.map(({ to }) => to)).toEqual([['you@example.net'], ['you@example.net']]);
  });

  test('status prints state, connector, recipients and history', async () => {
    const { here } = await setUp();
    await here.call([
      'send',
      '--wait',
      '--from',
      'me@example.com',
      '--to',
      'you@example.net',
      '--text',
      'x',
      '--id',
      's1',
    ]);
    const { code, values } = await here.callJson(['status', 's1']);
    expect(code).toBe(0);
    expect(values[0]).toMatchObject({
      id: 's1',
      state: 'sent',
      connector: 'relay',
      attempts: 1,
      recipients: [{ address: 'you@example.net', outcome: 'accepted' }],
    });
    const history = values[0]?.['history'] as { at: string; event: string }[];
    expect(history.map(({ event }) => event)).toEqual(expect.arrayContaining(['routed', 'sent']));
    for (const { at } of history) expect(new Date(at).toISOString()).toBe(at);
    expect((await here.call(['status', 's1'])).stdout).toMatch(/s1 {2}sent\n(?:.*\n)*you@example\.net +accepted/);
  });

  test('--wait exits with 1 and prints the terminal state of a rejected message', async () => {
    const server = await startTestServer({ script: { RCPT: '550 5.1.1 nobody here' } });
    const here = project(server.config(testPrefix()));
    await here.worker();
    const args = ['send', '--wait', '--from', 'me@example.com', '--to', 'you@example.net', '--text', 'x', '--id', 'r1'];
    const { code, values } = await here.callJson(args);
    expect({ code, values }).toMatchObject({ code: 1, values: [{ id: 'r1', duplicate: false, state: 'dead' }] });
  });
});

describe('send without a worker', () => {
  const args = ['send', '--to', 'you@example.net', '--text', 'x', '--id', 'w1'];

  test('the message is queued; --wait exits with 1 after its time and prints the last state', async () => {
    const server = await startTestServer();
    const here = project(server.config(testPrefix()));
    expect(await here.callJson(args)).toMatchObject({
      code: 0,
      values: [{ id: 'w1', duplicate: false, state: 'queued' }],
    });
    const waited = await here.callJson([...args, '--wait', '--timeout', '300ms']);
    expect(waited).toMatchObject({ code: 1, values: [{ id: 'w1', duplicate: true, state: 'queued' }] });
    expect(JSON.parse(waited.stderr)).toMatchObject({ error: { code: 'timeout' } });
  });

  test('--send-at schedules the message', async () => {
    const server = await startTestServer();
    const here = project(server.config(testPrefix()));
    expect(await here.callJson([...args, '--send-at', '2h'])).toMatchObject({
      code: 0,
      values: [{ state: 'scheduled' }],
    });
  });

  test('status exits with 1 for an unknown id', async () => {
    const server = await startTestServer();
    const ended = await project(server.config(testPrefix())).call(['status', 'nobody']);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/No message has the id "nobody"/);
  });

  test.each([
    [['--to', 'not an address'], 'to'],
    [['--header', 'Bcc: x@example.com'], 'headers.Bcc'],
    [['--subject', 'a\r\nBcc: x@example.com'], 'subject'],
    [['--id', '../../etc'], 'id'],
  ])('refuses %j with 2 and names the field', async (more, field) => {
    const { code, stdout, stderr } = await project(plain).call([...args, ...more, '--json']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const { error } = JSON.parse(stderr) as { error: { code: string; issues: { field: string }[] } };
    expect(error.code).toBe('message-invalid');
    expect(error.issues.map((issue) => issue.field).join()).toContain(field);
  });

  test('refuses a message without From at once if there is no unmonitored address', async () => {
    const ended = await project(plain).call(args, { env: nowhere });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(/no From.*unmonitoredAddress.*--from/);
  });

  test('exits with 2 for a file that cannot be read', async () => {
    const ended = await project(plain).call([...args, '--attach', 'nothing.pdf']);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/nothing\.pdf cannot be read/);
  });
});
