/**
 * What this release stores, beside what the release before has stored in the same states: each key and field that differs is in the
 * changelog, so that who upgrades knows.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { StoredData } from '../../testkit/stored-data.ts';
import { root, textOf } from '../support/source.ts';

type Shape = ReadonlyMap<string, ReadonlySet<string>>;

/** Turns of maintenance, and what workers say of themselves: they come and go by the clock. */
const passing = /^:(?:sweep|repair|memory|turn:.*|workers.*|acknowledged|sessions.*)$/;
/** BullMQ's own, which is pinned: its queues but for the jobs, and its fields of a job. */
const queues =
  /^:(?:outbound|lane-\w+):(?:active|completed|delayed|events|failed|id|limiter|marker|meta|paused|pc|prioritized|stalled|stalled-check|wait)$/;
const jobFields = new Set([
  'ats',
  'atm',
  'deid',
  'delay',
  'finishedOn',
  'name',
  'opts',
  'pb',
  'priority',
  'processedOn',
  'stc',
  'timestamp',
  'tm',
]);

/** As docs/stored-data.md names it; null if it is none of ours. */
function nameOf(key: string): string | null {
  if (passing.test(key) || queues.test(key)) return null;
  return key
    .replace(/^:lane-\w+:.+$/, ':lane-CONNECTOR:ID')
    .replace(/^:(outbound|ledger|dead|place|kept):.+$/, ':$1:ID')
    .replace(/^:connector:\w+/, ':connector:CONNECTOR')
    .replace(/^:quota:\w+:[\w-]+$/, ':quota:CONNECTOR:KIND')
    .replace(/^:content:\w+/, ':content:SHA256')
    .replace(/^:stats:\d+/, ':stats:TIME')
    .replace(/^:find:(?!days$|fields$).+$/, ':find:SET');
}

/** Keys, and the fields of those with fields of a fixed name. */
function shapeOf({ keys }: StoredData): Shape {
  const shape = new Map<string, Set<string>>();
  for (const { key, type, value } of keys) {
    const name = nameOf(key);
    if (name === null) continue;
    const fields = shape.get(name) ?? new Set();
    shape.set(name, fields);
    if (type !== 'hash' || /^:(?:quota|stats|find)/.test(name)) continue;
    value.forEach((field, at) => {
      if (at % 2 === 0 && !(name.endsWith(':ID') && jobFields.has(field))) fields.add(field.replace(/^h\d+$/, 'h1'));
    });
  }
  return shape;
}

/** Each key or `KEY FIELD` that only one of the two has. */
function differences(one: Shape, other: Shape): string[] {
  const flat = (shape: Shape) =>
    [...shape].flatMap(([key, fields]) => [key, ...[...fields].map((field) => `${key} ${field}`)]);
  const [before, after] = [flat(one), flat(other)];
  const changed = [
    ...before.filter((each) => !after.includes(each)),
    ...after.filter((each) => !before.includes(each)),
  ];
  // A new key stands for its fields.
  return changed
    .filter((each) => !changed.includes(each.split(' ')[0] ?? '') || !each.includes(' '))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** Of the section `Stored data`: a key in code marks, and after it fields of it. */
function announced(changelog: string): Set<string> {
  const [unreleased = ''] =
    changelog
      .split(/^## \[Unreleased\]$/m)
      .at(1)
      ?.split(/^## /m) ?? [];
  const [section = ''] = unreleased.split('#### Stored data\n').at(1)?.split(/^#/m) ?? [];
  return new Set(
    section.split('\n').flatMap((line) => {
      const [key = '', ...fields] = [...line.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
      return [key, ...fields.flatMap((field) => [field, `${key} ${field}`])];
    }),
  );
}

const newest = readdirSync(join(root, 'test/system/stored'))
  .toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
  .at(-1)!;

test('every stored key or field that the release before did not have, or had alone, is in the changelog', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-stored-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'today.json');
  await promisify(execFile)(process.execPath, [join(root, 'tools/stored-data.ts'), file]);
  const read = (path: string) => shapeOf(JSON.parse(readFileSync(path, 'utf8')) as StoredData);
  const changed = differences(read(join(root, 'test/system/stored', newest)), read(file));
  const said = announced(textOf('CHANGELOG.md'));
  expect(changed.filter((each) => !said.has(each))).toEqual([]);
}, 120_000);

test('a field that is new in a row, and a key that is gone, are differences', () => {
  const stored = (...keys: [string, string[]][]): StoredData => ({
    at: 0,
    keys: keys.map(([key, value]) => ({ key, type: 'hash', value, ttlMs: null })),
  });
  const before = stored(
    [':ledger:a', ['state', 'sent', 'h1', '{}']],
    [':old', ['x', '1']],
    [':lane-c:meta', ['max', '1']],
  );
  const after = stored([':ledger:b', ['state', 'sent', 'h2', '{}', 'new', '1']], [':lane-c:meta', ['other', '1']]);
  expect(differences(shapeOf(before), shapeOf(after))).toEqual([':ledger:ID new', ':old']);
});
