/** Holds the metrics of the code, docs/metrics.md, the rules and the board to each other, and the alarms to docs/operations.md. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { allMetrics } from '../../src/metrics/catalogue.ts';
import { root, textOf } from '../support/source.ts';

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert?: string;
      readonly expr: string;
      readonly labels?: { readonly severity: string };
    }[];
  }[];
}
interface Board {
  readonly uid: string;
  readonly id?: unknown;
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
}

const metrics = allMetrics();
const rules = (parse(textOf('deploy/prometheus/postlane.rules.yml')) as Rules).groups.flatMap(({ rules }) => rules);
const board = JSON.parse(textOf('deploy/grafana/postlane.json')) as Board;
const queries = [
  ...rules.map(({ expr }) => expr),
  ...board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
];
const named = [...new Set(queries.flatMap((query) => query.match(/\bpostlane_[a-z0-9_]+/g) ?? []))];
const plain = (name: string): string => {
  const base = name.replace(/_(?:bucket|sum|count)$/, '');
  return metrics.some((metric) => metric.name === base && metric.type === 'histogram') ? base : name;
};

test('docs/metrics.md lists every metric with its type, labels and meaning, and no others', () => {
  const rows = [...textOf('docs/metrics.md').matchAll(/^\| `(postlane_\w+)` \| (\w+) \| (.+?) \| (.+) \|$/gm)];
  const documented = rows.map(([, name, type, labels = '', help]) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    help,
  }));
  expect(documented).toEqual(
    metrics.map(({ name, type, labels, help }) => ({ name, type, labels: [...labels], help })),
  );
});

test('every metric in a rule or a panel exists', () => {
  const known = new Set(metrics.map(({ name }) => name));
  expect(named.length).toBeGreaterThan(40);
  expect(named.filter((name) => !known.has(plain(name)))).toEqual([]);
});

test('every metric is in a rule or a panel: what is not looked at is not worth its series', () => {
  const used = new Set(named.map(plain));
  expect(metrics.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([]);
});

test('only gauges and sums of the fleet have the label `connector`', () => {
  const labelled = metrics.filter(({ labels }) => labels.includes('connector'));
  expect(labelled.length).toBeGreaterThan(5);
  expect(labelled.filter(({ scope }) => scope !== 'fleet')).toEqual([]);
});

test('docs/operations.md says of every alarm how urgent it is and what to do, and lists no others', () => {
  const rows = [
    ...textOf('docs/operations.md').matchAll(/^\| `(Postlane\w+)` \| (page|ticket) \| .{10,} \| .{10,} \|$/gm),
  ];
  const alarms = rules.flatMap(({ alert, labels }) => (alert === undefined ? [] : [[alert, labels?.severity]]));
  expect(rows.map(([, name, severity]) => [name, severity])).toEqual(alarms);
});

test('the board has a stable uid, no id of an installation, and a title for each panel', () => {
  expect([board.uid, board.id]).toEqual(['postlane', undefined]);
  expect(board.panels.every(({ title }) => title.length > 3)).toBe(true);
});

const promtool = spawnSync('promtool', ['--version']).error === undefined;

describe('promtool (Debian package prometheus)', () => {
  const check = (...args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync('promtool', args, {
      cwd: join(root, 'deploy/prometheus'),
      encoding: 'utf8',
    });
    return { status, output: `${stdout}${stderr}` };
  };

  test.skipIf(!promtool)('finds no fault with the rules', () => {
    expect(check('check', 'rules', 'postlane.rules.yml')).toMatchObject({ status: 0 });
  });

  test.skipIf(!promtool)('the rules ring when they should, and keep silent when they should', () => {
    expect(check('test', 'rules', 'postlane.rules.test.yml')).toMatchObject({ status: 0 });
  });

  test('every alarm has a unit test', () => {
    const tests = textOf('deploy/prometheus/postlane.rules.test.yml');
    expect(rules.flatMap(({ alert }) => (alert === undefined || tests.includes(alert) ? [] : [alert]))).toEqual([]);
  });
});
