/** Whatever a foreign client writes: all good mail is sent, and each job of the client's ends once, sent or as a dead letter. */
import * as fc from 'fast-check';
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { isNewer } from '../../src/queue/jobs.ts';
import { reservedWords } from '../../src/queue/redis/job-ids.ts';
import { intakeName, keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { countable } from '../support/accounting.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { soundFields, wire } from '../support/raw-jobs.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;

/** Values that stand where something else should. */
const oddText = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '-1',
    '1e300',
    'Infinity',
    'NaN',
    '0x10',
    'abc',
    '9223372036854775807',
    '99999999999999999999',
  ),
  fc.constantFrom('null', '[]', '{}', '"x"', '{"a":NaN}', '{"a":1e999}', '{', `{"a":${deep}}`, deep, '\uFEFF{}'),
  fc.constantFrom(
    '{"v":{"toString":1}}',
    '[{"toString":null}]',
    '{"__proto__":{"toString":1}}',
    '{"id":"x","queueKey":"y"}',
  ),
  fc.json(),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
const odd = fc.oneof(
  oddText,
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);

const data = fc.oneof(
  { weight: 2, arbitrary: fc.constant(JSON.stringify(wire())) },
  {
    weight: 1,
    arbitrary: fc
      .record({ v: fc.oneof(fc.constant(1), fc.jsonValue()), message: fc.jsonValue() })
      .map((v) => JSON.stringify(v)),
  },
  { weight: 2, arbitrary: odd },
);

const fieldNames = [
  'name',
  'opts',
  'timestamp',
  'delay',
  'priority',
  'ats',
  'atm',
  'stc',
  'defa',
  'processedOn',
  'finishedOn',
  'progress',
  'parent',
  'parentKey',
  'rjk',
  'nrjid',
  'deid',
  'pb',
  'returned',
  'returnvalue',
  'stacktrace',
  'failedReason',
  'fields',
];

const jobId = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc.constantFrom('a:b', 'a b', '../x', '\u001b[2J', '\u202ex', 'x'.repeat(200), '9'.repeat(200), '__proto__'),
);

function saysNewer(text: string): boolean {
  try {
    return isNewer(JSON.parse(text) as unknown);
  } catch {
    return false;
  }
}

const foreignJob = fc
  .record({
    id: jobId.filter(
      (id) => !reservedWords.has(id) && !id.startsWith('0:') && !id.includes(':lock') && !id.startsWith('good'),
    ),
    // What says that it is of a newer version waits for a worker that knows it: test/worker/format-newer.test.ts.
    data: data.filter((value) => !saysNewer(String(value))),
    change: fc.dictionary(fc.constantFrom(...fieldNames), odd, { maxKeys: 3 }),
    type: fc.oneof(
      { weight: 12, arbitrary: fc.constant('hash') },
      fc.constantFrom('string', 'list', 'set', 'zset', 'none'),
    ),
    list: fc.oneof(
      { weight: 4, arbitrary: fc.constant('wait') },
      fc.constantFrom('prioritized', 'delayed', 'failed', 'active'),
    ),
    lane: fc.boolean(),
  })
  // An id on the list of failed jobs, without a job, is only taken off it: there is nothing that a dead letter could keep.
  // A string under an id with a colon may be the lock of another job, and stays.
  .filter(({ id, type, list }) => !(type === 'none' && list === 'failed') && !(type === 'string' && id.includes(':')));
type ForeignJob = typeof foreignJob extends fc.Arbitrary<infer Job> ? Job : never;

async function write(redis: Redis, prefix: string, { id, data, change, type, list, lane }: ForeignJob): Promise<void> {
  const keys = keysOf(prefix);
  const key = (name: string): string => keys.queue(lane ? laneName('relay') : intakeName, name);
  const pipeline = redis.pipeline();
  if (type === 'hash') pipeline.hset(key(id), soundFields(null, { data, ...change }));
  else if (type === 'string') pipeline.set(key(id), 'x');
  else if (type === 'list') pipeline.rpush(key(id), 'x');
  else if (type === 'set') pipeline.sadd(key(id), 'x');
  else if (type === 'zset') pipeline.zadd(key(id), 1, 'x');
  if (list === 'wait' || list === 'active') pipeline.lpush(key(list), id);
  else pipeline.zadd(key(list), list === 'prioritized' ? 10 * 2 ** 32 : 1, id);
  pipeline.zadd(key('marker'), 0, '0');
  if (lane) pipeline.sadd(keys.lanes, 'relay').zadd(keys.ready, 0, 'relay').publish(keys.wake, 'relay');
  for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
}

test('attack: any hash, under any id, on any list: each job ends once, and no good mail is lost or late', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const { recorded, of } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    timing: { maintenanceMs: 60 },
  });
  let round = 0;
  const seen = new Set<string>();
  let foreign = 0;
  let good = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(foreignJob, { selector: ({ id }) => id, minLength: 1, maxLength: 25 }),
      async (jobs) => {
        round += 1;
        const fresh = jobs.filter(({ id }) => !seen.has(id));
        for (const job of fresh) {
          seen.add(job.id);
          await write(redis, prefix, job);
          const id = `good-${round}-${good}`;
          await producer.send(countable(id));
          good += 1;
          foreign += 1;
        }
        const ended = async (): Promise<[number, number]> => {
          const sent = recorded('relay').mails.map(({ id }) => id);
          const others = sent.filter((id) => !id.startsWith('good-'));
          expect(new Set(sent).size).toBe(sent.length);
          return [sent.length - others.length, others.length + (await operator.deadLetters.count())];
        };
        await until(async () => (await ended()).join() === [good, foreign].join(), {
          what: `${good} good mails and ${foreign} jobs to end`,
          timeoutMs: 15_000,
        });
        expect(await ended()).toEqual([good, foreign]);
        expect(of('error')).toEqual([]);
      },
    ),
    { numRuns: 40, endOnFailure: true },
  );
  const findings: unknown[] = [];
  const about = { fix: false, now: Date.now, senders: ['relay'], lifetimeMs: 1, retentionMs: 1, lookAgainMs: 20 };
  for await (const finding of operator.diagnose(about)) findings.push(finding);
  expect(findings).toEqual([]);
  const left = await redis.keys(`${prefix}:*`);
  const own = new RegExp(`:(?:${[...reservedWords].join('|')})$`);
  expect(left.filter((key) => /:(?:outbound|lane-relay):/.test(key) && !own.test(key))).toEqual([]);
});
