/** `postlane messages`: what it finds, prints, exports and erases. */
import { expect, test } from 'vitest';
import { csvLine } from '../../src/admin/csv.ts';
import { project, type Project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';

async function fleet(rest: readonly string[] = []): Promise<Project> {
  const server = await startTestServer();
  const here = project(server.config(testPrefix(), {}, rest));
  await here.worker();
  return here;
}

const send = (here: Project, id: string, to: string, ...more: string[]) =>
  here.call([
    'send',
    '--from',
    'me@example.com',
    '--to',
    to,
    '--subject',
    `about ${id}`,
    '--text',
    'x',
    '--id',
    id,
    ...more,
  ]);

test('finds messages by recipient, the newest first, with the contract’s fields', async () => {
  const here = await fleet();
  await send(here, 'm1', 'Anna@example.net', '--wait');
  await send(here, 'm2', 'b@example.net', '--wait');
  await send(here, 'm3', 'anna@example.net', '--wait');
  const { code, stderr, values } = await here.callJson(['messages', '--recipient', 'ANNA@example.NET']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(values.map(({ id }) => id)).toEqual(['m3', 'm1']);
  expect(values[0]).toMatchObject({ state: 'sent', connector: 'relay', from: 'me@example.com' });
  expect(values[0]!['recipients']).toMatchObject([{ address: 'anna@example.net', outcome: 'accepted' }]);
  expect(Date.parse(String(values[0]!['at']))).toBeGreaterThan(Date.now() - 60_000);
  const text = await here.call([
    'messages',
    '--connector',
    'relay',
    '--state',
    'sent',
    '--since',
    '1h',
    '--limit',
    '2',
  ]);
  expect(text.stdout).toMatch(/^ID .*\nm3 .*\nm2 .*\n$/);
  expect(text.stderr).toContain('There are more than these 2');
});

test('a filter that is not indexed, and what no filter is, are usage errors', async () => {
  const here = await fleet();
  const { code, stderr } = await here.call(['messages', '--from', 'me@example.com']);
  expect(code).toBe(2);
  expect(stderr).toContain('index.from: true');
  for (const args of [
    ['--metadata', 'x'],
    ['--state', 'gone'],
    ['--since', 'soon'],
    ['--since', '1h', '--until', '2h'],
    ['--erase'],
    ['--cancel'],
    ['--recipient', ''],
    ['--connector', 'rellay'],
  ]) {
    expect({ args, code: (await here.call(['messages', ...args])).code }).toEqual({ args, code: 2 });
  }
  expect((await here.call(['messages', '--csv', '--json'])).code).toBe(2);
});

test('metadata and From are found where they are indexed', async () => {
  const here = await fleet(['index: { from: true, metadata: [orderId], subject: true }']);
  await send(here, 'm1', 'a@example.net', '--wait');
  const { values } = await here.callJson(['messages', '--from', 'ME@example.com']);
  expect(values).toMatchObject([{ id: 'm1', subject: 'about m1' }]);
  expect((await here.callJson(['messages', '--metadata', 'orderId=7'])).values).toEqual([]);
});

test('--erase erases what has ended, and says what it left', async () => {
  const here = await fleet();
  await send(here, 'm1', 'a@example.net', '--wait');
  await send(here, 'm2', 'b@example.net', '--wait');
  const { code, values } = await here.callJson(['messages', '--recipient', 'a@example.net', '--erase']);
  expect({ code, values }).toEqual({ code: 0, values: [{ erased: 1, notSettled: [], complete: true }] });
  const status = await here.callJson(['status', 'm1']);
  expect(status.values[0]).toMatchObject({ state: 'sent', recipients: [{ address: 'erased' }] });
  expect((await here.callJson(['status', 'm2'])).values[0]).toMatchObject({
    recipients: [{ address: 'b@example.net' }],
  });
});

test('--erase leaves what waits, unless it is cancelled first', async () => {
  const here = await fleet();
  await here.call(['pause', 'relay']);
  await send(here, 'm1', 'a@example.net');
  const found = async (): Promise<unknown[]> =>
    (await here.callJson(['messages', '--recipient', 'a@example.net'])).values;
  for (let i = 0; i < 100 && (await found()).length === 0; i += 1);
  const left = await here.callJson(['messages', '--recipient', 'a@example.net', '--erase']);
  expect(left).toMatchObject({ code: 1, values: [{ erased: 0, notSettled: [{ id: 'm1', state: 'queued' }] }] });
  const gone = await here.callJson(['messages', '--recipient', 'a@example.net', '--erase', '--cancel']);
  expect(gone).toMatchObject({ code: 0, values: [{ erased: 1, notSettled: [] }] });
  expect((await here.callJson(['status', 'm1'])).values[0]).toMatchObject({ state: 'cancelled' });
});

test('--csv prints a header and a line per message, without anything that a spreadsheet would run', async () => {
  const here = await fleet(['index: { subject: true }']);
  await here.call([
    'send',
    '--from',
    'me@example.com',
    '--to',
    'a@example.net',
    '--subject',
    '=HYPERLINK("http://x")',
    '--text',
    'x',
    '--id',
    'm1',
    '--wait',
  ]);
  const { stdout } = await here.call(['messages', '--csv']);
  const [header, line] = stdout.split('\n');
  expect(header).toBe(
    'id,state,connector,from,recipients,recipientCount,at,updatedAt,attempts,reason,reply,messageId,subject,metadata,bounced',
  );
  expect(line).toMatch(/^m1,sent,relay,me@example\.com,a@example\.net,1,/);
  expect(line).toContain(`,"'=HYPERLINK(""http://x"")",`);
});

test('CSV injection: cells that begin a formula, also behind blanks, are text', () => {
  const row = (subject: string): string =>
    csvLine({
      id: 'm',
      state: 'sent',
      connector: null,
      from: null,
      recipients: [],
      recipientCount: 0,
      at: 0,
      updatedAt: 0,
      attempts: 1,
      reason: null,
      retryAt: null,
      messageId: null,
      subject,
      metadata: {},
      erasedAt: null,
    }).split(',1,,,,')[1]!;
  for (const start of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '  =1']) {
    expect(row(start)).toMatch(/^"?'/);
  }
  expect(row('plain')).toBe('plain,,');
  expect(row('a,b "c"\nd')).toBe('"a,b ""c"" d",,');
});
