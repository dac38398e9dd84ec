/**
 * Where a job goes that a worker hands back. BullMQ puts it at the front: ahead of all in the wait list, or ahead of its priority
 * class. Of several that go back, the last would then be the first. Here each goes behind those that were taken before it.
 */
import { bind, lua } from '../lua/script.ts';
import { jobFields, priorityScoreFactor } from './layout.ts';

/** Jobs at the front that a returning job is compared with. If more have gone back, it stays where BullMQ puts it. */
const compared = 64;

/**
 * Runs with moveJobFromActiveToWait-9.lua. The front of the wait list is its right end. A class of the prioritized set begins at its
 * priority × 2^32, where BullMQ puts what goes back; its other jobs have a counter of 1 and more on top, so fractions of 1 are free.
 *
 * `returned` in the job's hash is how often the job had been started when it was handed back, and its place in the order: when it was
 * taken, before the first of several returns. A job that was started since does not wait after a return; one that was started more
 * than once since has been retried, and begins anew.
 * @lua
 */
export const returnLua = lua(
  { keys: ['wait', 'prioritized'], args: ['id', 'prefix', 'compared'] },
  /* lua */ `
local theirs = bullmq()
if theirs < 0 then return { 0, theirs } end
local most = tonumber(compared)
local function read(jobId)
  local row = redis.call('HMGET', prefix .. jobId, 'returned', '${jobFields.starts}', '${jobFields.takenAt}', '${jobFields.addedAt}',
    '${jobFields.priority}')
  local starts, place = string.match(row[1] or '', '^(%d+) (%d+)$')
  return { id = jobId, returnedStarts = tonumber(starts or '-1'), place = tonumber(place or '0'), starts = tonumber(row[2] or '0'),
    takenAt = tonumber(row[3] or '0'), addedAt = tonumber(row[4] or '0'), priority = tonumber(row[5] or '0') }
end
local function earlier(a, b)
  if a.place ~= b.place then return a.place < b.place end
  if a.addedAt ~= b.addedAt then return a.addedAt < b.addedAt end
  return a.id < b.id
end
local job = read(id)
if job.starts ~= job.returnedStarts + 1 then job.place = job.takenAt end
redis.call('HSET', prefix .. id, 'returned', string.format('%.0f %.0f', job.starts, job.place))
if job.priority > 0 then
  local first = job.priority * ${priorityScoreFactor}
  local ids = redis.call('ZRANGEBYSCORE', prioritized, first, '(' .. string.format('%.0f', first + 1), 'LIMIT', 0, most + 1)
  if #ids > 1 and #ids <= most then
    local jobs = {}
    for i, each in ipairs(ids) do jobs[i] = each == id and job or read(each) end
    table.sort(jobs, earlier)
    for i, each in ipairs(jobs) do
      redis.call('ZADD', prioritized, string.format('%.6f', first + i / (#jobs + 1)), each.id)
    end
  end
  return { 0, theirs }
end
local others, ahead = redis.call('LRANGE', wait, -most - 1, -2), nil
for i = #others, 1, -1 do
  local other = read(others[i])
  if other.starts ~= other.returnedStarts or earlier(job, other) then break end
  ahead = other.id
end
if ahead then
  redis.call('LREM', wait, -1, id)
  redis.call('LINSERT', wait, 'BEFORE', ahead, id)
end
return { 0, theirs }
`,
);

/** An add-on for the step that hands a job back. `toKey` gives a key of the job's queue. */
export function returnInOrder(jobId: string, toKey: (type: string) => string): ReturnType<typeof bind> {
  return bind(returnLua, {
    keys: { wait: toKey('wait'), prioritized: toKey('prioritized') },
    args: { id: jobId, prefix: toKey(''), compared },
  });
}
