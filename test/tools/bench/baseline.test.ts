/** The comparison with an earlier run: it names what got worse, and nothing else. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readBaseline, worseThan } from '../../../tools/bench/baseline.ts';
import type { Figures } from '../../../tools/bench/contender.ts';
import type { Results } from '../../../tools/bench/report.ts';
import { finding } from '../../../tools/bench/rows/row.ts';

interface Measured {
  readonly ratio?: number;
  readonly latency?: number;
  readonly shown?: number;
  readonly sender?: number;
  readonly redis?: number;
  readonly sink?: number;
  readonly quick?: boolean;
}

function run({
  ratio = 1,
  latency = 1,
  shown = 1,
  sender = 300,
  redis = 200,
  sink = 90,
  quick = false,
}: Measured): Results {
  const about = { against: 'a peer', unit: '×' } as const;
  const figures = (name: string, ours: boolean): Figures => ({
    name,
    ours,
    samples: [],
    perSecond: { median: 1, least: 1, most: 1 },
    cpuUs: { sender, redis, sink },
    cores: {},
    peakMb: {},
    othersCores: 0,
    reads: null,
    commands: null,
    messages: 1,
    tuned: null,
  });
  return {
    at: '2026-01-01T00:00:00.000Z',
    quick,
    seconds: 1,
    machine: { processor: '2 × X', node: 'v24' },
    rows: [
      {
        id: 'peers',
        findings: [
          finding({ ...about, what: 'speed', measured: ratio }, { kind: 'at least', value: 1 }, ''),
          finding({ ...about, what: 'latency', measured: latency }, { kind: 'at most', value: 1 }, ''),
          finding({ ...about, what: 'without a target', measured: shown }, null, ''),
        ],
        figures: [figures('Postlane', true), figures('a peer', false)],
      },
    ],
  };
}

const worse = (now: Measured): string[] => worseThan(run({}), run(now)).slice(1);

test.each<[Measured, string[]]>([
  [{}, []],
  [{ ratio: 0.91, latency: 1.09, sender: 329 }, []],
  [{ ratio: 2, latency: 0.1, sender: 10, redis: 10 }, []],
  [{ sink: 900, shown: 0.1 }, []],
  [{ ratio: 0.89 }, ['peers: speed, against a peer: 0.89 × instead of 1.00 ×']],
  [{ latency: 1.11 }, ['peers: latency, against a peer: 1.11 × instead of 1.00 ×']],
  [{ ratio: Number.NaN }, ['peers: speed, against a peer: NaN × instead of 1.00 ×']],
  [{ sender: 331 }, ['peers: Postlane, µs of sender per message: 331 instead of 300']],
  [{ redis: 221 }, ['peers: Postlane, µs of redis per message: 221 instead of 200']],
])('of a run with %j, what is worse is %j', (now, expected) => {
  expect(worse(now)).toEqual(expected.map((line) => `  ${line}`));
});

test('says that nothing got worse, and what the two runs do not have in common', () => {
  expect(worseThan(run({}), run({ quick: true }))).toEqual([
    'Nothing got worse by more than 10 % since 2026-01-01T00:00:00.000Z.',
    'the runs differ: 2 × X v24 then, 2 × X v24, quick now',
  ]);
});

test('what only one of the runs has measured is not compared', () => {
  const none: Results = { ...run({}), rows: [] };
  expect(worseThan(none, run({ ratio: 0 }))).toHaveLength(1);
  // As it comes out of a file, where NaN is null.
  const unmeasured = JSON.parse(JSON.stringify(run({ ratio: Number.NaN }))) as Results;
  expect(worseThan(unmeasured, run({ ratio: 0.1 }))).toHaveLength(1);
});

test('a file that holds no results is a mistake that names it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-baseline-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = (text: string): string => {
    writeFileSync(join(folder, 'results.json'), text);
    return join(folder, 'results.json');
  };
  expect(readBaseline(file(JSON.stringify(run({}))))).toMatchObject({ rows: [{ id: 'peers' }] });
  expect(readBaseline(file('{"rows": [{}]}'))).toMatch(/results\.json has no results/);
  expect(readBaseline(file('{'))).toMatch(/results\.json cannot be read/);
  expect(readBaseline(join(folder, 'none.json'))).toMatch(/none\.json cannot be read: ENOENT/);
});
