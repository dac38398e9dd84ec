/** Files of a command and of a running worker: no path can make it wait, eat memory, or end. */
import { execFileSync } from 'node:child_process';
import { rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { project, type Project } from '../support/cli.ts';
import { meeting } from '../support/calendar.ts';
import { startTestServer } from '../support/cli-config.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { testPrefix } from '../support/redis.ts';

const config = (prefix: string, limit = '1MiB'): string => `
redis: { prefix: "${prefix}" }
hostname: mail.example.com
systemDefaultGateway: relay
message: { maxSize: ${limit} }
connectors:
  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 25, security: none } }
`;
const to = ['send', '--from', 'me@example.com', '--to', 'you@example.net'];

function trap(here: Project, kind: 'fifo' | 'directory' | 'device' | 'large'): string {
  const path = join(here.folder, kind);
  if (kind === 'fifo') execFileSync('mkfifo', [path]);
  if (kind === 'directory') execFileSync('mkdir', [path]);
  if (kind === 'device') symlinkSync('/dev/zero', path);
  if (kind === 'large') sparse(path);
  return kind;
}

/** A file that takes no room on the disk, and would take 2 GB of memory. */
function sparse(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, 2 * 1024 ** 3);
}

test.each([
  ['fifo', 'it is a FIFO, not a regular file'],
  ['directory', 'it is a directory, not a regular file'],
  ['device', 'it is a device, not a regular file'],
  ['large', 'it has more than 1048576 bytes'],
] as const)('--attach, --eml and --config refuse a %s at once', async (kind, problem) => {
  const here = project(config(testPrefix()));
  const file = trap(here, kind);
  for (const option of ['--attach', '--calendar', '--eml']) {
    const ended = await here.call([...to, option, file]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(`${option} ${file} cannot be read: ${problem}`);
  }
  const { code, stdout } = await here.call(['check', '--config', file]);
  expect(code).toBe(2);
  expect(stdout).toContain(`[file-unreadable]  cannot be read (${problem}`);
});

test('all files together have at most message.maxSize', async () => {
  const here = project(config(testPrefix()));
  for (const name of ['a', 'b']) here.write(name, 'x'.repeat(600_000));
  const ended = await here.call([...to, '--attach', 'a', '--attach', 'b']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain(
    '--attach b cannot be read: it has more than 448576 bytes left of the 1048576 of message.maxSize',
  );
});

test('--eml - reads at most message.maxSize from stdin', async () => {
  const here = project(config(testPrefix()));
  const ended = await here.call([...to, '--eml', '-'], { input: Buffer.alloc(1_048_577, 'x') });
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain('--eml stdin cannot be read: it has more than 1048576 bytes');
});

test('--calendar sends the invitation in a file, in the name of whom --sender names, and refuses what is none', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  await here.worker();
  here.write('planning.ics', meeting());
  here.write('notes.ics', 'no calendar');
  const about = [...to, '--sender', 'Ann <ann@example.com>', '--text', 'x', '--wait', '--calendar'];
  expect((await here.callJson([...about, 'planning.ics'])).values[0]).toMatchObject({ state: 'sent' });
  const mail = await simpleParser(server.received.transactions[0]!.bytes);
  expect(mail.headers.get('sender')).toMatchObject({ value: [{ name: 'Ann', address: 'ann@example.com' }] });
  expect(mail.attachments.map(({ contentType, filename }) => [contentType, filename])).toEqual([
    ['text/calendar', undefined],
    ['application/ics', 'planning.ics'],
  ]);
  const refused = await here.call([...about, 'notes.ics']);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('calendarEvent.content: does not begin with BEGIN:VCALENDAR');
});

test('--calendar is refused at once where Graph could not take the mail whole', async () => {
  const graph = await fakeGraph();
  const here = project(graphConfig(graph, { prefix: testPrefix() }));
  here.write('planning.ics', meeting());
  here.write('large.bin', 'x'.repeat(2_400_000));
  const about = ['send', '--from', 'sales@example.com', '--to', 'you@example.net', '--attach', 'large.bin'];
  const { code, stderr } = await here.call([...about, '--calendar', 'planning.ics']);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/calendarEvent.*3000000 bytes.*\(connector sales\)/)]);
});

test('the line of an mbox file before the header of an .eml is not a header', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  await here.worker();
  const mail = 'From: me@example.com\r\nTo: you@example.net\r\nSubject: x\r\n\r\nFrom the body\r\n';
  here.write('mail.eml', `From me@example.com Thu Jan  1 00:00:00 2026\r\n${mail}`);
  expect((await here.callJson(['send', '--eml', 'mail.eml', '--wait'])).values[0]).toMatchObject({ state: 'sent' });
  expect(server.received.transactions[0]?.bytes.toString()).toContain(mail);
  expect(server.received.transactions[0]?.bytes.toString()).not.toContain('Thu Jan');
});

test('a secret that becomes a device, a FIFO or a huge file does not end a worker: the old configuration stays', async () => {
  const server = await startTestServer({ auth: { user: 'u', password: 'p' } });
  const text = server
    .config(testPrefix())
    .replace(
      'security: none',
      'security: none, allowInsecureAuth: true, auth: { user: u, password: "${file:secret}" }',
    );
  const here = project(text);
  const secret = here.write('secret', 'p');
  const worker = await here.worker();
  const steps: [() => void, RegExp][] = [
    [() => symlinkSync('/dev/zero', secret), /it is a device/],
    [() => void execFileSync('mkfifo', [secret]), /it is a FIFO/],
    [() => sparse(secret), /more than 1048576 bytes/],
  ];
  for (const [replace, problem] of steps) {
    rmSync(secret);
    replace();
    worker.child.kill('SIGHUP');
    // The worker also looks at its files by itself, so one state of the file may be reported twice.
    const isReported = () =>
      worker.of('config-rejected').some((each) => problem.test(JSON.stringify(each['mistakes'])));
    await until(isReported, { what: `${String(problem)} in the log` });
  }
  const before = worker.of('config-rejected').length;
  here.write('postlane.yaml', `${text}\nx: ${'['.repeat(900_000)}`);
  worker.child.kill('SIGHUP');
  await worker.logged('config-rejected', before + 1);
  expect((await here.callJson([...to, '--text', 'x', '--wait', '--config', 'other.yaml'])).code).toBe(2);
  here.write('other.yaml', text.replace('${file:secret}', 'p'));
  const sent = await here.callJson([...to, '--text', 'x', '--wait', '--config', 'other.yaml']);
  expect(sent.values[0]).toMatchObject({ state: 'sent' });
  expect(await worker.end()).toBe(0);
});
