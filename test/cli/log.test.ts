/** The log: one line per event, only the fields of the table, nothing secret even if an event had it, and no flood. */
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createLog, type Log } from '../../src/observability/log.ts';
import { logTable, type LogEvent } from '../../src/observability/log-table.ts';
import { textOf } from '../support/source.ts';

function logOf(level: 'debug' | 'info' | 'warn' | 'error' = 'debug', now?: () => number) {
  const destination = new PassThrough();
  const log: Log = createLog({ worker: 'w1', level, destination, ...(now === undefined ? {} : { now }) });
  const lines = (): Record<string, unknown>[] =>
    String(destination.read() ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, lines };
}

const sent: LogEvent = {
  event: 'sent',
  id: 'm1',
  connector: 'relay',
  priority: 'normal',
  state: 'sent',
  attempt: 2,
  recipients: 3,
  durationMs: 45,
  latencyMs: 450,
  reply: '250 2.0.0 queued as 4711',
};

test('a line has level, ISO time, worker, event, its fields and a text', () => {
  const { log, lines } = logOf('debug', () => Date.UTC(2030, 0, 1));
  log(sent);
  const { priority: _, state: _s, latencyMs: _l, ...logged } = sent as LogEvent & { event: 'sent' };
  expect(lines()).toEqual([{ ...logged, level: 'info', time: '2030-01-01T00:00:00.000Z', worker: 'w1', msg: 'sent' }]);
});

test('attack: what a terminal would obey is escaped in the line, and whole in its JSON', () => {
  const destination = new PassThrough();
  const log = createLog({ worker: 'w1', level: 'debug', destination });
  const reply = 'x\u001b[2J\u0085\u009b2J\u007f\u061c\u200f\u2028\u202e\u2066y';
  log({ ...sent, id: reply, reply });
  const line = String(destination.read());
  // oxlint-disable-next-line no-control-regex -- control characters are what this finds
  expect(line.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
  expect(JSON.parse(line)).toMatchObject({ id: reply, reply });
});

test('a field that the table does not name is not logged', () => {
  const { log, lines } = logOf();
  log({ ...sent, note: 'PLANTED', detail: 'PLANTED' } as LogEvent);
  expect(JSON.stringify(lines())).not.toContain('PLANTED');
});

test('a secret within a logged field is redacted', () => {
  const { log, lines } = logOf();
  const mistake = { key: 'k', rule: 'r', message: 'm', file: 'f', line: 1, password: 'PLANTED', subject: 'PLANTED' };
  log({ event: 'config-rejected', mistakes: [mistake] });
  expect(JSON.stringify(lines())).not.toContain('PLANTED');
  log({ ...sent, reply: { password: 'PLANTED' } as unknown as string });
  expect(JSON.stringify(lines())).not.toContain('PLANTED');
});

test('an invalid job is logged by field and rule, never with its content', () => {
  const { log, lines } = logOf();
  const issue = { field: 'to[0]', rule: 'address', message: '"PLANTED" has no @' };
  log({ event: 'invalid', id: 'm1', issues: Array.from({ length: 50 }, () => issue) });
  const [line] = lines();
  expect(JSON.stringify(line)).not.toContain('PLANTED');
  expect(line?.['issues']).toEqual(Array.from({ length: 10 }, () => 'to[0]: address'));
});

test('attack: a reply with line breaks cannot forge a line', () => {
  const { log, lines } = logOf();
  log({ ...sent, reply: '250 ok\n{"level":"info","event":"stopped"}' });
  expect(lines()).toHaveLength(1);
});

test('lines below the level are not logged, and the level can be changed', () => {
  const { log, lines } = logOf('warn');
  log(sent);
  expect(lines()).toEqual([]);
  log.setLevel('info');
  log(sent);
  expect(lines()).toHaveLength(1);
});

test('an outage of Redis is logged at once, and then at most every 30 seconds', () => {
  let now = 1_000_000;
  const { log, lines } = logOf('info', () => now);
  for (let i = 0; i < 16; i += 1) {
    log({ event: 'redis-error', detail: 'connect ECONNREFUSED' });
    now += 2_000;
  }
  expect(lines()).toHaveLength(2);
});

test('docs/operations.md has the events, levels and fields of the code, and no others', () => {
  const rows = [
    ...textOf('docs/operations.md').matchAll(/^\| `([\w-]+)` \| (debug|info|warn|error) \| (.*?) \| .+ \|$/gm),
  ];
  const documented = Object.fromEntries(
    rows.map(([, event = '', level = '', fields = '']) => [
      event,
      { level, fields: [...fields.matchAll(/`(\w+)`/g)].map(([, field]) => field) },
    ]),
  );
  const known = Object.entries(logTable).map(([event, { level, fields }]) => [event, { level, fields }] as const);
  expect(documented).toEqual(Object.fromEntries(known));
  expect(rows).toHaveLength(known.length);
});
