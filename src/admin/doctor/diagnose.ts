/**
 * The doctor: compares ledger, queues, dead letters and stored contents, reports what disagrees, and repairs it.
 *
 * It may look while workers run. A message on its way is in two places, or between two, for a moment; so everything
 * suspicious is looked at twice, with a pause in between, and only what is the same both times is a finding. Every repair
 * is one that may be made twice, or made by a worker in the same moment, and none drops the only copy of a message.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { suspectContents } from './contents.ts';
import type { Body, DiagnoseOptions, Finding } from './findings.ts';
import { suspectJobs } from './jobs.ts';
import { suspectLanes } from './lanes.ts';
import { suspectLetters } from './letters.ts';
import { suspectRows } from './rows.ts';
import { suspectKeys } from './sealed.ts';

/** Findings as they are made. Reads everything in pages (SCAN, never KEYS). */
export async function* diagnose(body: Body, options: DiagnoseOptions): AsyncGenerator<Finding> {
  const { fix, lookAgainMs = 1_000, onProgress } = options;
  let total = 0;
  const looked = (count: number): void => {
    total += count;
    onProgress?.(total);
  };
  const examination = { ...options, looked };
  // Lanes first: a job that is repaired there is found in its place by what comes later.
  const { ledger } = body;
  const { views } = body;
  const scans = [
    ...views.flatMap((view) => [
      suspectLanes({ ...body, ...view }, examination),
      // Where a message stands is asked of all shards; what a shard contains, of that shard.
      suspectJobs({ ...body, ...view, ledger }, examination),
      suspectLetters({ ...body, ...view, ledger }, examination),
      suspectRows({ ...body, ...view }, examination),
    ]),
    suspectContents(body, examination),
    suspectKeys(body, examination),
  ];
  for (const suspects of scans) {
    for await (const page of suspects) {
      if (page.length === 0) continue;
      await pause(lookAgainMs);
      for (const { kind, id, detail, holds, fix: repair } of page) {
        if (!(await holds())) continue;
        yield { kind, id, detail, fixed: fix && repair !== null && (await repair()) };
      }
    }
  }
}
