/** Plants each kind of violation in a repository in memory, and holds that the check reports it, and only it. */
import { describe, expect, test } from 'vitest';
import { treeDifferences, violationsOf } from './architecture-check.ts';

/** The violations of a repository of these files. */
function check(files: Readonly<Record<string, string>>): string[] {
  return violationsOf(new Map(Object.entries(files)));
}

/** The violations of one file that imports one other, in every form that loads it or its types. */
function checkArrow(path: string, target: string): string[] {
  return check({ [path]: `import { a } from '${relative(path, target)}';` });
}

function relative(path: string, target: string): string {
  return `${'../'.repeat(path.split('/').length - 1)}${target}`;
}

describe('the check reports', () => {
  test.each([
    ['an arrow to a higher room', 'src/message/a.ts', 'src/queue/open.ts', 'message does not import queue'],
    ['an arrow between rooms side by side', 'src/routing/a.ts', 'src/queue/open.ts', 'routing does not import queue'],
    ['an entry that imports another', 'src/webhooks/a.ts', 'src/http/http.ts', 'webhooks does not import http'],
    ['a room other than cli that imports an entry', 'src/admin/a.ts', 'src/http/http.ts', 'admin does not import http'],
    [
      'SMTP that imports Graph',
      'src/transport/smtp/a.ts',
      'src/transport/graph/b.ts',
      'transport has no such arrow inside',
    ],
    [
      'Graph that imports SMTP',
      'src/transport/graph/a.ts',
      'src/transport/smtp/b.ts',
      'transport has no such arrow inside',
    ],
    [
      'OAuth that imports SMTP',
      'src/transport/oauth/a.ts',
      'src/transport/smtp/b.ts',
      'transport has no such arrow inside',
    ],
    [
      'a shared part that imports a protocol',
      'src/transport/http.ts',
      'src/transport/graph/b.ts',
      'transport has no such arrow inside',
    ],
    [
      'the contract that imports anything of its room',
      'src/transport/transport.ts',
      'src/transport/http.ts',
      'transport has no such arrow inside',
    ],
    [
      'the ledger that imports lanes',
      'src/queue/ledger/a.ts',
      'src/queue/lanes/lanes.ts',
      'queue has no such arrow inside',
    ],
    [
      'sessions that import BullMQ',
      'src/queue/sessions/a.ts',
      'src/queue/bullmq/b.ts',
      'queue has no such arrow inside',
    ],
    [
      'an attempt that imports the router',
      'src/worker/attempt/a.ts',
      'src/worker/router.ts',
      'worker has no such arrow inside',
    ],
    [
      'an attempt that imports the scheduler',
      'src/worker/attempt/a.ts',
      'src/worker/scheduler.ts',
      'worker has no such arrow inside',
    ],
    [
      'the doctor that imports the operator',
      'src/admin/doctor/a.ts',
      'src/admin/operator.ts',
      'admin has no such arrow inside',
    ],
    ['a way past a front door', 'src/worker/a.ts', 'src/queue/ledger/scripts.ts', 'it is no front door of queue'],
    [
      'a way past the only door of an entry',
      'src/cli/a.ts',
      'src/webhooks/retry.ts',
      'it is no front door of webhooks',
    ],
    ['product code that imports the test kit', 'src/worker/a.ts', 'testkit/redis.ts', 'src does not import from there'],
    ['product code that imports a tool', 'src/cli/a.ts', 'tools/check.ts', 'src does not import from there'],
    [
      'a test kit that imports test support',
      'testkit/a.ts',
      'test/support/redis.ts',
      'testkit does not import from there',
    ],
    ['a test kit that imports a tool', 'testkit/a.ts', 'tools/soak/run.ts', 'testkit does not import from there'],
    [
      'a tool that imports test support',
      'tools/soak/a.ts',
      'test/support/redis.ts',
      'tools does not import from there',
    ],
    [
      'an example that imports an inner file',
      'examples/a.ts',
      'src/producer/producer.ts',
      'examples does not import from there',
    ],
    ['a test that imports a test', 'test/worker/a.test.ts', 'test/worker/b.test.ts', 'a test is no module'],
    [
      'a set-up script that needs a package',
      'tools/setup/a.mjs',
      'tools/soak/run.ts',
      'it runs before the packages are installed',
    ],
  ])('%s', (_, path, target, reason) => {
    expect(checkArrow(path, target)).toEqual([`${path} imports ${target}: ${reason}`]);
  });

  test('a file in a room that the rules do not know', () => {
    expect(check({ 'src/spam/filter.ts': '' })).toEqual(['src/spam/filter.ts is in the unknown room spam']);
  });

  test('a file in a wing that the rules do not know', () => {
    expect(check({ 'src/queue/kafka/open.ts': '' })).toEqual(['src/queue/kafka/open.ts is in no wing of queue']);
  });

  test('a circle of values', () => {
    const files = { 'src/message/a.ts': "import { b } from './b.ts';", 'src/message/b.ts': "export * from './a.ts';" };
    expect(check(files)).toEqual(['src/message/a.ts, src/message/b.ts import each other in a circle']);
  });

  test('a circle of types', () => {
    const files = {
      'src/message/a.ts': "import { b } from './b.ts';",
      'src/message/b.ts': "import type { C } from './c.ts';",
      'src/message/c.ts': "export type A = import('./a.ts').A;",
      'src/message/d.ts': "import { a } from './a.ts';",
    };
    expect(check(files)).toEqual([
      'src/message/a.ts, src/message/b.ts, src/message/c.ts import each other in a circle',
    ]);
  });

  test('a file that imports itself', () => {
    expect(check({ 'src/message/a.ts': "import type { A } from './a.ts';" })).toEqual([
      'src/message/a.ts import each other in a circle',
    ]);
  });

  test('a package in a place that it is not open to', () => {
    const files = {
      'src/worker/a.ts': "import { Redis } from 'ioredis';",
      'src/routing/b.ts': "import type { Job } from 'bullmq';",
      'src/cli/c.ts': "import colours from 'colours/safe.js';",
    };
    expect(check(files)).toEqual([
      'src/worker/a.ts imports ioredis: its package is not open to it',
      'src/routing/b.ts imports bullmq: its package is not open to it',
      'src/cli/c.ts imports colours: its package is not open to it',
    ]);
  });

  test('an import whose target is computed', () => {
    expect(check({ 'src/cli/a.ts': 'await import(name);' })).toEqual([
      'src/cli/a.ts imports (computed): no rule can judge it',
    ]);
  });

  test('a function of more than 120 lines, and not one of 120', () => {
    const body = (lines: number) => '  step();\n'.repeat(lines - 2);
    expect(check({ 'src/cli/a.ts': `export function long() {\n${body(121)}}\n` })).toEqual([
      'src/cli/a.ts: long has more than 120 lines',
    ]);
    expect(check({ 'src/cli/a.ts': `export function fits() {\n${body(120)}}\n` })).toEqual([]);
    expect(check({ 'src/cli/a.ts': `export const long = () => {\n${body(121)}};\n` })).toEqual([
      'src/cli/a.ts: () => { has more than 120 lines',
    ]);
  });

  test('a file of more than 300 lines, and not one of 300', () => {
    expect(check({ 'tools/a.ts': 'step();\n'.repeat(301) })).toEqual(['tools/a.ts has more than 300 lines']);
    expect(check({ 'tools/a.ts': 'step();\n'.repeat(300) })).toEqual([]);
  });

  test('a tree in CONTRIBUTING.md that differs from the folders', () => {
    const contributing = '## The tree\n\n```\nsrc/        the product\nsrc/queue/  Redis\ntest/       tests\n```\n';
    const paths = ['src/index.ts', 'src/worker/worker.ts', 'test/worker/worker.test.ts', 'test/system/path.test.ts'];
    expect(treeDifferences(contributing, paths)).toEqual([
      'src/queue is listed and does not exist',
      'src/worker exists and is not listed',
      'test/system exists and is not listed',
    ]);
  });
});

describe('the check accepts', () => {
  test.each([
    ['an arrow down', 'src/worker/a.ts', 'src/queue/open.ts'],
    ['an arrow to errors', 'src/message/a.ts', 'src/errors.ts'],
    ['an arrow down between wings', 'src/transport/smtp/a.ts', 'src/transport/oauth/b.ts'],
    ['a neighbour in the same wing', 'src/queue/lanes/a.ts', 'src/queue/lanes/b.ts'],
    ['the door of an entry', 'src/cli/a.ts', 'src/webhooks/webhooks.ts'],
    ['an entry that stands on the producer', 'src/http/api/a.ts', 'src/producer/producer.ts'],
    ['a tool that uses the test kit', 'tools/soak/a.ts', 'testkit/redis.ts'],
    ['a test that imports an inner file', 'test/queue/a.test.ts', 'src/queue/ledger/scripts.ts'],
  ])('%s', (_, path, target) => {
    expect(checkArrow(path, target)).toEqual([]);
  });

  test('an import of types only, for values that a room merely receives', () => {
    const files = {
      'src/observability/a.ts': "import type { WorkerEvent } from '../worker/events.ts';",
      'src/worker/b.ts': "import type { Redis } from 'ioredis';",
    };
    expect(check(files)).toEqual([]);
  });
});
