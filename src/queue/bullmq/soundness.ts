/**
 * Whether a job's hash is what BullMQ and the router can read, judged by Lua in Redis: any client may have written it, and BullMQ
 * parses most of it before a processor is called. The data of an unsound job never leaves Redis with a fetch, so that no worker
 * can die of it; nor do fields that are not needed.
 *
 * What is not judged here is whether `data` is JSON and a message: that is for the process that gets it, and costs Redis nothing.
 */
import type { Job, JobJson } from 'bullmq';
import { apartFromBytes } from './apart-data.ts';
import { deduplicationField, jobFields, ownFields } from './layout.ts';

/**
 * Why a job is unsound:
 * - `type`: its key is no hash
 * - `no-data`: the hash has no data, or there is no hash
 * - `stalled`: too many workers died while they had it
 * - `too-large`: its data is larger than any message that is accepted
 * - `name`: another job name than `message`
 * - `timestamp`: when it was added is no time from 1970 to 9999
 * - `counter`: a counter of BullMQ's is no number
 * - `opts`: its options are no JSON object, or have more than 64 KiB
 * - `parent`: it belongs to a flow, so its end would write keys that a stranger named
 * - `repeat`: it belongs to a job scheduler
 * - `delay`: it would be due before 1970 or after 9999; found by maintenance
 * - `error`: a worker could do nothing with it within its lifetime
 * - `not-json`: its data is no JSON; found by the process that got it
 */
export const verdicts = [
  'type',
  'no-data',
  'stalled',
  'too-large',
  'name',
  'timestamp',
  'counter',
  'opts',
  'parent',
  'repeat',
  'delay',
  'error',
  'not-json',
] as const;
export type Verdict = (typeof verdicts)[number];

/** What jobs are judged by. A reload may change it. */
export interface JobBounds {
  /** Bytes of `data`. */
  readonly maxDataBytes: number;
  /** How often a job may be found abandoned by a dead worker. */
  readonly maxStalls: number;
}

/** The job name under which an unsound job is handed out; its data is then the verdict. No message's job has this name. */
export const unsoundName = '.unsound';

/** More options than this no client needs. */
const maxOptsBytes = 65_536;
/** The last ms of the year 9999. */
export const maxTimestamp = 253_402_300_799_999;

/** The job as BullMQ makes it, or one that says that its data is no JSON. */
export function soundJob(make: (json: JobJson) => Job, json: JobJson): Job {
  try {
    return make(json);
  } catch {
    return make({ ...json, name: unsoundName, data: JSON.stringify('not-json' satisfies Verdict) });
  }
}

/** What is wrong with a job that was handed out; null if it is sound. */
export function verdictOf(job: Pick<Job, 'name' | 'data'>): Verdict | null {
  if (job.name !== unsoundName) return null;
  return verdicts.find((each) => each === job.data) ?? 'type';
}

const read: readonly string[] = [
  jobFields.name,
  jobFields.addedAt,
  jobFields.starts,
  jobFields.attempts,
  jobFields.stalls,
  jobFields.priority,
  jobFields.takenAt,
  jobFields.opts,
  jobFields.parent,
  jobFields.parentKey,
  jobFields.scheduler,
  jobFields.deferredFailure,
  jobFields.delay,
  jobFields.failedReason,
  ownFields.routing,
  ownFields.returned,
  deduplicationField,
];
const at = (field: string): string => `row[${read.indexOf(field) + 1}]`;

/**
 * `readRow(key, maxDataBytes)` → the fields that are read, and the size of the data; larger data is not read. `judge(row, size, name,
 * maxDataBytes, maxStalls)` → the verdict, nil if the job is sound.
 */
export const luaReadRow = `
local function isCount(value) return not value or (#value <= 9 and string.find(value, '^%d+$') ~= nil) end
local function judge(row, size, jobName, maxDataBytes, maxStalls)
  if not size then return 'type' end
  if size == 0 then return 'no-data' end
  local stalls = ${at(jobFields.stalls)}
  if ${at(jobFields.deferredFailure)} or (stalls and isCount(stalls) and tonumber(stalls) > tonumber(maxStalls)) then
    return 'stalled'
  end
  if size > tonumber(maxDataBytes) then return 'too-large' end
  if ${at(jobFields.name)} ~= jobName then return 'name' end
  local added = ${at(jobFields.addedAt)} or ''
  if #added > 32 or not string.find(added, '^%d+%.?%d*$') or tonumber(added) > ${maxTimestamp} then return 'timestamp' end
  if not isCount(${at(jobFields.starts)}) or not isCount(${at(jobFields.attempts)}) or not isCount(stalls) then return 'counter' end
  local opts = ${at(jobFields.opts)}
  if opts and (#opts > ${maxOptsBytes} or not string.find(opts, '^%s*{') or not pcall(cjson.decode, opts)) then return 'opts' end
  if ${at(jobFields.parent)} or ${at(jobFields.parentKey)} then return 'parent' end
  if ${at(jobFields.scheduler)} then return 'repeat' end
  return nil
end
local function number(value)
  if not value then return '0' end
  if #value > 0 and #value < 16 and not string.find(value, '%D') then return value end
  local found = #value <= 32 and tonumber(value) or 0
  if found ~= found or found < 0 or found > ${maxTimestamp} then found = 0 end
  return string.format('%.0f', math.floor(found))
end
local function readRow(key, maxDataBytes)
  local size, row = redis.pcall('HSTRLEN', key, '${jobFields.data}'), {}
  if type(size) ~= 'number' then size = nil
  elseif size > tonumber(maxDataBytes) then row = redis.call('HMGET', key, ${read.map((field) => `'${field}'`).join(', ')})
  else row = redis.call('HMGET', key, ${[...read, jobFields.data].map((field) => `'${field}'`).join(', ')}) end
  return row, size
end
`;

/**
 * `readJob(key, name, maxDataBytes, maxStalls)` → fields and values as HGETALL would give them, only those that are needed, and the
 * verdict if the job is unsound: then without its data.
 */
export const luaReadJob = `${luaReadRow}
local function readJob(key, jobName, maxDataBytes, maxStalls)
  local row, size = readRow(key, maxDataBytes)
  local verdict = judge(row, size, jobName, maxDataBytes, maxStalls)
  return { '${jobFields.name}', verdict and '${unsoundName}' or jobName,
    '${jobFields.addedAt}', number(${at(jobFields.addedAt)}), '${jobFields.starts}', number(${at(jobFields.starts)}),
    '${jobFields.attempts}', number(${at(jobFields.attempts)}), '${jobFields.stalls}', number(${at(jobFields.stalls)}),
    '${jobFields.priority}', number(${at(jobFields.priority)}), '${jobFields.takenAt}', number(${at(jobFields.takenAt)}),
    '${jobFields.delay}', number(${at(jobFields.delay)}),
    '${jobFields.failedReason}', string.sub(${at(jobFields.failedReason)} or '', 1, 1000),
    '${jobFields.data}', verdict and '"' .. verdict .. '"' or row[${read.length + 1}],
    '${ownFields.routing}', not verdict and ${at(ownFields.routing)} or '' }, verdict, verdict and 0 or size
end
`;

/**
 * Needs `luaReadRow`. `readLean(key, name, maxDataBytes, maxStalls)` → what a worker needs of a job that it takes: the verdict if it is unsound, then without
 * its data; false in place of data that is read apart; `added`, `stalls`, and `starts`, nil where the hash is none or has another value there; `plain` if nothing but its hash
 * and its place in the queue belongs to it, as far as the hash says; `opts` as it is, false where there is none or the job is unsound.
 */
export const luaReadLean = `
local function readLean(key, jobName, maxDataBytes, maxStalls)
  local row, size = readRow(key, math.min(maxDataBytes, ${apartFromBytes}))
  local verdict = judge(row, size, jobName, maxDataBytes, maxStalls)
  local starts = ${at(jobFields.starts)}
  -- Also where there is no hash: what BullMQ would make of it then shows that there was a job.
  local counts = size and isCount(starts)
  return { verdict = verdict, added = number(${at(jobFields.addedAt)}), starts = counts and tonumber(starts or '0') or nil,
    stalls = number(${at(jobFields.stalls)}), size = verdict and 0 or size, data = verdict and '' or row[${read.length + 1}] or false,
    opts = not verdict and ${at(jobFields.opts)}, routing = not verdict and ${at(ownFields.routing)} or '', plain = not verdict and not ${at(ownFields.returned)} and not ${at(deduplicationField)} }
end
`;
