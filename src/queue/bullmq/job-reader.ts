/**
 * Jobs as they lie in a queue, for maintenance, the doctor and producers. BullMQ's own readers parse what they find, whatever it is;
 * here each job is judged first (soundness.ts), and the content of an unsound one stays in Redis until it is asked for.
 */
import { Job, type JobJson, type Queue } from 'bullmq';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { isIntruder } from '../redis/job-ids.ts';
import { jobName } from '../redis/keys.ts';
import { jobFields, lockName, ownFields } from './layout.ts';
import { luaReadJob, soundJob, verdictOf, verdicts, type JobBounds, type Verdict } from './soundness.ts';
import { routed } from './taken-job.ts';

export { verdictOf, type Verdict } from './soundness.ts';

/** What is in a queue: jobs for `verdictOf`, and where to go on; null at the end. */
export interface JobPage {
  readonly jobs: readonly Job[];
  readonly next: number | null;
}

export type JobList = 'wait' | 'prioritized' | 'delayed' | 'active' | 'failed';

/** What is known of a job without parsing it. */
export interface RawJob {
  readonly jobId: string;
  /** As Redis sees it; null if nothing is wrong that Redis could see. */
  readonly verdict: Verdict | null;
  /** When it was added, ms since the epoch; 0 if that is no time. */
  readonly timestamp: number;
  readonly failedReason: string;
  readonly name: string;
  /** Bytes of the data. */
  readonly size: number;
  /** SHA-1 of the data, lower-case hexadecimal; '' if it was too large even for that. */
  readonly sha1: string;
  /** The data as it was found, or the beginning of it if it is larger than the bound. */
  readonly data: Buffer;
}

/** The beginning of data that is too large to be kept, in bytes. */
export const maxPrefixBytes = 64 * 1024;
/** Larger data is not even hashed: Redis answers no other client meanwhile. */
const maxHashedBytes = 64 * 1024 * 1024;
/** Bytes of data that one page holds, unless it is a single job. */
const maxPageBytes = 16 * 1024 * 1024;
const pageSize = 200;

/**
 * Jobs of a list, the next to be taken first, up to some number and size. → where to go on or -1, then id and fields of each.
 * @lua
 */
export const pageScript = script(
  { keys: ['list'], args: ['prefix', 'from', 'count', 'maxPageBytes', 'jobName', 'maxDataBytes', 'maxStalls'] },
  /* lua */ `${luaReadJob}
local first, last = tonumber(from), from + count - 1
local kind, ids = redis.call('TYPE', list).ok, {}
if kind == 'zset' then ids = redis.call('ZRANGE', list, first, last)
elseif kind == 'list' then
  local found = redis.call('LRANGE', list, -last - 1, -first - 1)
  for i = #found, 1, -1 do ids[#ids + 1] = found[i] end
end
local answer, bytes = { -1 }, 0
for i, id in ipairs(ids) do
  local fields, _, size = readJob(prefix .. id, jobName, maxDataBytes, maxStalls)
  bytes = bytes + size
  if i > 1 and bytes > tonumber(maxPageBytes) then
    answer[1] = first + i - 1
    return answer
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = fields
end
if #ids == tonumber(count) then answer[1] = first + #ids end
return answer
`,
);

/**
 * One job. → its fields, nothing if there is no such key.
 * @lua
 */
export const oneScript = script(
  { keys: ['job'], args: ['jobName', 'maxDataBytes', 'maxStalls'] },
  /* lua */ `${luaReadJob}
if redis.call('EXISTS', job) == 0 then return false end
return (readJob(job, jobName, maxDataBytes, maxStalls))
`,
);

/**
 * What there is of a job, unparsed. → verdict, timestamp, reason of a failure, name, size, hash, data.
 * @lua
 */
export const examineScript = script(
  { keys: ['job'], args: ['jobName', 'maxDataBytes', 'maxStalls', 'maxHashed', 'maxPrefix'] },
  /* lua */ `${luaReadJob}
if redis.call('EXISTS', job) == 0 then return false end
local fields, verdict = readJob(job, jobName, maxDataBytes, maxStalls)
local kind = redis.call('TYPE', job).ok
local name, data, size, hash = '', '', 0, ''
if kind == 'hash' then
  name = string.sub(redis.call('HGET', job, '${jobFields.name}') or '', 1, 200)
  size = redis.call('HSTRLEN', job, '${jobFields.data}')
elseif kind == 'string' then size = redis.call('STRLEN', job) end
if size > 0 and size <= tonumber(maxHashed) then
  data = kind == 'hash' and redis.call('HGET', job, '${jobFields.data}') or redis.call('GET', job)
  hash = redis.sha1hex(data)
  if size > tonumber(maxDataBytes) then data = string.sub(data, 1, tonumber(maxPrefix)) end
end
return { verdict or '', fields[4], fields[18], name, size, hash, data }
`,
);

/**
 * Takes a job out of its queue, whatever its key is, unless another worker has it. A string under an id with a colon may be the lock
 * of another job, and stays; so does a key of the queue itself (`keep`). → 1 if it is gone.
 * @lua
 */
export const discardScript = script(
  {
    keys: ['job', 'lock', 'wait', 'active', 'prioritized', 'delayed', 'completed', 'failed', 'stalled'],
    args: ['id', 'token', 'keep'],
    moreKeys: 'beside',
  },
  /* lua */ `
local holder = redis.pcall('GET', lock)
if type(holder) == 'string' and holder ~= token then return 0 end
if redis.call('LREM', active, 0, id) == 0 then
  redis.call('LREM', wait, 0, id)
  redis.call('ZREM', prioritized, id)
  redis.call('ZREM', delayed, id)
  redis.call('ZREM', completed, id)
  redis.call('ZREM', failed, id)
end
redis.call('SREM', stalled, id)
if type(holder) == 'string' then redis.call('DEL', lock) end
if keep == '1' then return 1 end
if redis.call('TYPE', job).ok ~= 'string' or not string.find(id, ':', 1, true) then redis.call('DEL', job) end
for _, key in ipairs(beside) do redis.call('DEL', key) end
return 1
`,
);

/**
 * When the jobs were added that would be taken next. → timestamps.
 * @lua
 */
export const oldestScript = script(
  { keys: ['wait', 'prioritized'], args: ['prefix'] },
  /* lua */ `
local found = {}
for _, id in ipairs({ redis.call('LINDEX', wait, -1) or '', redis.call('ZRANGE', prioritized, 0, 0)[1] or '' }) do
  local added = id ~= '' and redis.pcall('HGET', prefix .. id, '${jobFields.addedAt}')
  if type(added) == 'string' and #added <= 32 and string.find(added, '^%d+$') then found[#found + 1] = added end
end
return found
`,
);

/** When the oldest waiting job was added, in ms since the epoch; null if none waits. */
export async function oldestWaitingAt(redis: RedisClient, queue: Queue): Promise<number | null> {
  const keys = { wait: queue.toKey('wait'), prioritized: queue.toKey('prioritized') };
  const found = (await run(redis, oldestScript, { keys, args: { prefix: queue.toKey('') } })) as string[];
  return found.length === 0 ? null : Math.min(...found.map(Number));
}

export interface JobReader {
  /** Jobs of a list, oldest first, from an index on: sound ones, and stand-ins for the others. */
  page(queue: Queue, list: JobList, from: number): Promise<JobPage>;
  /** A job by its id; null if there is none. */
  job(queue: Queue, jobId: string): Promise<Job | null>;
  /** What there is of a job, unparsed; null if there is nothing. */
  examine(queue: Queue, jobId: string): Promise<RawJob | null>;
  /** Takes a job out of its queue. `token`: of the lock under which the caller has it. → false if another worker has it. */
  discard(queue: Queue, jobId: string, token: string | null): Promise<boolean>;
}

export function createJobReader(redis: RedisClient, boundsOf: (queueName: string) => JobBounds): JobReader {
  const judgedBy = (queue: Queue) => ({ jobName, ...boundsOf(queue.name) });
  return {
    async page(queue, list, from) {
      const keys = { list: queue.toKey(list) };
      const args = { prefix: queue.toKey(''), from, count: pageSize, maxPageBytes, ...judgedBy(queue) };
      const [next, ...found] = (await run(redis, pageScript, { keys, args })) as [number, ...unknown[]];
      const jobs: Job[] = [];
      for (let i = 0; i + 1 < found.length; i += 2) {
        jobs.push(jobFrom(queue, String(found[i]), found[i + 1] as string[]));
      }
      return { jobs, next: next < 0 ? null : next };
    },

    async job(queue, jobId) {
      const keys = { job: queue.toKey(jobId) };
      const fields = (await run(redis, oneScript, { keys, args: judgedBy(queue) })) as string[] | null;
      return fields === null ? null : jobFrom(queue, jobId, fields);
    },

    async examine(queue, jobId) {
      const { jobName: name, maxDataBytes, maxStalls } = judgedBy(queue);
      const args = [name, maxDataBytes, maxStalls, maxHashedBytes, maxPrefixBytes];
      // As bytes: what a stranger wrote may be no UTF-8.
      const found = (await redis.callBuffer('EVAL', examineScript.lua, 1, queue.toKey(jobId), ...args)) as
        | [Buffer, Buffer, Buffer, Buffer, number, Buffer, Buffer]
        | null;
      if (found === null) return null;
      const [verdict, timestamp, failedReason, itsName, size, sha1, data] = found;
      return {
        jobId,
        verdict: verdicts.find((each) => each === verdict.toString()) ?? null,
        timestamp: Number(timestamp.toString()),
        failedReason: failedReason.toString(),
        name: itsName.toString(),
        size,
        sha1: sha1.toString(),
        data,
      };
    },

    async discard(queue, jobId, token) {
      const key = (name: string): string => queue.toKey(name);
      const job = key(jobId);
      const beside = ['logs', 'dependencies', 'processed', 'failed', 'unsuccessful'].map((name) => `${job}:${name}`);
      const lists = ['wait', 'active', 'prioritized', 'delayed', 'completed', 'failed', 'stalled'] as const;
      const keys = Object.fromEntries(lists.map((name) => [name, key(name)])) as Record<(typeof lists)[number], string>;
      const gone = await run(redis, discardScript, {
        keys: { job, lock: lockName(job), ...keys },
        args: { id: jobId, token: token ?? '', keep: isIntruder(jobId) ? 1 : 0 },
        moreKeys: beside,
      });
      return gone === 1;
    },
  };
}

/** As BullMQ makes it of a hash, from fields that are known to be right. */
function jobFrom(queue: Queue, jobId: string, flat: readonly string[]): Job {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i]!, flat[i + 1]!);
  const number = (field: string): number => Number(fields.get(field) ?? 0);
  const json: JobJson = {
    id: jobId,
    name: fields.get(jobFields.name) ?? '',
    data: fields.get(jobFields.data) ?? '',
    opts: {},
    progress: 0,
    delay: number(jobFields.delay),
    priority: number(jobFields.priority),
    timestamp: number(jobFields.addedAt),
    attemptsStarted: number(jobFields.starts),
    attemptsMade: number(jobFields.attempts),
    stalledCounter: number(jobFields.stalls),
    returnvalue: '',
    failedReason: fields.get(jobFields.failedReason) ?? '',
  };
  const job = soundJob((each) => Job.fromJSON(queue, each, jobId), json);
  if (verdictOf(job) === null) job.data = routed(job.data, fields.get(ownFields.routing) ?? '');
  return job;
}
