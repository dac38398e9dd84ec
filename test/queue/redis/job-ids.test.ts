/** Ids of messages and of jobs: no id of a caller meets a key or a number of BullMQ's. */
import { QueueKeys } from 'bullmq';
import { assert, constantFrom, oneof, property, stringMatching } from 'fast-check';
import { expect, test } from 'vitest';
import { queueKeyTypes } from '../../../src/queue/bullmq/layout.ts';
import {
  idOfIntakeJob,
  idOfJob,
  intakeJobIdsOf,
  isReserved,
  jobIdOf,
  reservedWords,
} from '../../../src/queue/redis/job-ids.ts';

const ids = oneof(
  stringMatching(/^[A-Za-z0-9_-]{1,128}$/),
  constantFrom(...reservedWords, '0', '42', '-7', '007', '__proto__', 'constructor', 'auto-1-2'),
);

test("the reserved words are the names of BullMQ's keys, and `metrics`, which it keeps below the queue", () => {
  const theirs = Object.keys(new QueueKeys('p').getKeys('q')).filter((name) => name !== '');
  expect([...reservedWords].sort()).toEqual([...theirs, 'metrics'].sort());
  expect(Object.keys(queueKeyTypes).sort()).toEqual(theirs.sort());
});

test('every id gets a job id that BullMQ carries, and comes back from it', () => {
  assert(
    property(ids, (id) => {
      const jobId = jobIdOf(id);
      expect(isReserved(jobId)).toBe(false);
      expect(idOfJob(jobId)).toBe(id);
      expect(idOfIntakeJob(jobId, 1)).toBe(id);
      expect(intakeJobIdsOf(id)).toContain(jobId);
    }),
  );
});

test('no two ids share a job id', () => {
  assert(property(ids, ids, (a, b) => (jobIdOf(a) === jobIdOf(b)) === (a === b)));
});

test('a job that BullMQ numbered is not the message of a caller who took that number as its id', () => {
  expect(idOfIntakeJob('42', 1_700_000_000_000)).toBe('auto-42-1700000000000');
  expect(idOfIntakeJob('.42', 1_700_000_000_000)).toBe('42');
});
