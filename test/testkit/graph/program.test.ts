/** The fake Graph as its user has it: started by hand, its configuration pasted, mail sent through it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { project } from '../../support/cli.ts';
import { testPrefix } from '../../support/redis.ts';
import { root } from '../../support/source.ts';
import { until } from '../../../testkit/until.ts';

const program = join(root, 'testkit/graph/main.ts');

test('the program fake-graph prints a configuration that a worker can send with, and shows every message', async () => {
  const child = spawn(process.execPath, [program, '--domain', 'example.org'], { stdio: 'pipe' });
  const closed = once(child, 'close');
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(() => output.includes('# Messages as they come'), { what: 'the configuration' });

  const here = project(
    [
      `redis: { prefix: "${testPrefix()}" }`,
      'hostname: mail.example.com',
      'systemDefaultGateway: fake-graph',
      output,
    ].join('\n'),
  );
  const checked = await here.callJson(['check', '--connect']);
  expect(checked.stderr).toBe('');
  expect(checked.code).toBe(0);
  const worker = await here.worker();
  const hostile = 'Hi \u001b[2Jthere';
  const message = ['--from', 'sales@example.org', '--to', 'a@example.net', '--bcc', 'b@example.net', '--text', 'Hello'];
  const sent = await here.callJson(['send', ...message, '--subject', hostile, '--wait']);
  expect(sent.values).toMatchObject([{ state: 'sent' }]);
  await worker.end();

  expect(output).toMatch(/^# \S+ sales@example\.org → a@example\.net, bcc b@example\.net: Hi {2}\[2Jthere\n$/m);
  child.kill('SIGTERM');
  expect(await closed).toEqual([0, null]);
});

test.each([
  [['--port', 'many'], 2, '"many" is no port'],
  [['--domain', 'a b'], 2, '"a b" is no domain'],
  [['--colour'], 2, "Unknown option '--colour'"],
])('the program fake-graph answers %j with a sentence, the usage and an exit code', async (args, code, sentence) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: 'pipe' });
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  expect(status).toBe(code);
  expect(stderr).toContain(sentence);
  expect(stderr).toContain('npm run fake-graph');
});
