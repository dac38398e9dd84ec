/**
 * BullMQ's layout in Redis, as far as Postlane relies on it: keys, hash fields and score formulas, and the Lua that reads them.
 * BullMQ documents none of it. Each row names the file of BullMQ that it comes from, and `test/queue/bullmq/layout.test.ts`
 * holds it against the installed version, so an upgrade has one file to check.
 */

interface KeyRow {
  /** As `TYPE` answers. */
  readonly type: 'list' | 'zset' | 'set' | 'hash' | 'string' | 'stream';
  readonly holds: string;
  /** Path below bullmq/dist/esm. */
  readonly source: string;
}

/** A queue's keys are `<prefix>:<queue>:<name>`. */
export const queueKeys = {
  wait: {
    type: 'list',
    holds: 'ids of jobs without a priority; taken from the right',
    source: 'commands/includes/addJobInTargetList.lua',
  },
  prioritized: {
    type: 'zset',
    holds: 'ids of jobs with a priority, by their score',
    source: 'commands/includes/addJobWithPriority.lua',
  },
  delayed: {
    type: 'zset',
    holds: 'ids of jobs whose time has not come, by their score',
    source: 'commands/includes/addDelayedJob.lua',
  },
  active: { type: 'list', holds: 'ids of jobs that a worker has', source: 'commands/moveToActive-11.lua' },
  failed: {
    type: 'zset',
    holds: 'ids of jobs that failed for good, by time',
    source: 'commands/moveToFinished-14.lua',
  },
  meta: { type: 'hash', holds: 'limits and pause of the queue', source: 'commands/includes/isQueuePausedOrMaxed.lua' },
  limiter: {
    type: 'string',
    holds: 'jobs taken in the window of the rate limit, which ends with the key',
    source: 'commands/includes/getRateLimitTTL.lua',
  },
} as const satisfies Record<string, KeyRow>;

export type QueueKey = keyof typeof queueKeys;

/** The type of each key that BullMQ keeps beside the jobs of a queue, by its name. Source: classes/queue-keys.js and the commands. */
export const queueKeyTypes = {
  active: 'list',
  completed: 'zset',
  de: 'string',
  delayed: 'zset',
  events: 'stream',
  failed: 'zset',
  id: 'string',
  limiter: 'string',
  marker: 'zset',
  meta: 'hash',
  paused: 'list',
  pc: 'string',
  prioritized: 'zset',
  repeat: 'zset',
  stalled: 'set',
  'stalled-check': 'string',
  wait: 'list',
  'waiting-children': 'zset',
} as const;

/**
 * Fields of `meta`. `paused` is there or not; the others are numbers. Source: isQueuePausedOrMaxed.lua, getTargetQueueList. BullMQ writes 1
 * into `paused` and never reads the value, so that of ours says until when.
 */
export const metaFields = { paused: 'paused', concurrency: 'concurrency', max: 'max', duration: 'duration' } as const;

/** Fields of a job's hash. Sources: storeJob.lua, prepareJobForProcessing.lua. */
export const jobFields = {
  name: 'name',
  data: 'data',
  opts: 'opts',
  delay: 'delay',
  /** When it was added, in ms. */
  addedAt: 'timestamp',
  /** When it was last taken, in ms of the worker's clock. */
  takenAt: 'processedOn',
  /** How often it was taken. */
  starts: 'ats',
  /** How often it failed or was retried. */
  attempts: 'atm',
  /** How often it was found abandoned. Source: moveStalledJobsToWait-9.lua. */
  stalls: 'stc',
  /** Set once it was found abandoned too often: the next worker is to fail it. Source: moveStalledJobsToWait-9.lua. */
  deferredFailure: 'defa',
  failedReason: 'failedReason',
  parent: 'parent',
  parentKey: 'parentKey',
  /** The job scheduler that made it. */
  scheduler: 'rjk',
  priority: 'priority',
} as const;

/** The option of a job that has a trace context, in `opts`: what BullMQ's API calls `telemetry.metadata`. Source: classes/redis-queue-backend.js, `optsAsJSON`. */
export const traceOption = 'tm';

/** Fields of a job's hash that are ours. */
export const ownFields = {
  /** What the router says of a message whose data is as its producer wrote it, as JSON. */
  routing: 'routing',
  /** Where it goes when it is handed back (return-order.ts). */
  returned: 'returned',
  /** Of a job that is on its way to another shard: which move that is. */
  move: 'move',
} as const;

/** Keys that BullMQ may keep beside a job's hash, under its name. Source: removeJobKeys.lua. */
export const besideJob = ['logs', 'dependencies', 'processed', 'failed', 'unsuccessful'] as const;

/** The field of a job that holds a deduplication key of its queue. Source: storeJob.lua. */
export const deduplicationField = 'deid';

/** The priority is in the upper bits of a prioritized job's score, a counter in the lower 32. Source: getPriorityScore.lua. */
export const priorityScoreFactor = 0x1_0000_0000;

/** The id's counter is in the lower 12 bits of a delayed job's score, its time in ms above. Source: getDelayedScore.lua. */
export const delayedScoreFactor = 0x1000;

/** Jobs in a second that nothing reaches: a lane without a rate has this limit, and what is taken under it is not counted. */
export const unreachableMax = 1_000_000;

/** The count of a limiter that lets nothing pass until the key ends. Source: redis-queue-backend.js, `rateLimit`. */
export const fullLimiter = Number.MAX_SAFE_INTEGER;

/** The lock of a job stands beside its hash, and its value is the token of the worker. Source: prepareJobForProcessing.lua. */
export function lockName(jobKey: string): string {
  return `${jobKey}:lock`;
}

/** The keys of a queue that its worker needs. */
export function keysOfQueue(key: (name: string) => string) {
  return {
    wait: key('wait'),
    prioritized: key('prioritized'),
    delayed: key('delayed'),
    active: key('active'),
    meta: key('meta'),
    limiter: key('limiter'),
    pc: key('pc'),
    marker: key('marker'),
    stalled: key('stalled'),
  };
}

/** `waiting(wait, prioritized)` → jobs that could be taken now. */
export const luaWaiting = `
local function waiting(wait, prioritized)
  return redis.call('LLEN', wait) + redis.call('ZCARD', prioritized)
end
`;

/** `delayedUntil(delayed)` → the time of the first delayed job in ms, nil if there is none. */
export const luaDelayedUntil = `
local function delayedUntil(delayed)
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if first[2] then return math.floor(tonumber(first[2]) / ${delayedScoreFactor}) end
  return nil
end
`;

/**
 * `pausedUntil(value)` of the field `paused` → when the pause ends in ms, `math.huge` if only an operator ends it, nil if there is none.
 * A pause with an end is over at that time whether or not the field is still there. Needs `now`.
 */
export const luaPausedUntil = `
local function pausedUntil(value)
  if not value then return nil end
  local till = tonumber(value) or 1
  if till <= 1 then return math.huge end
  return till > now and till or nil
end
`;

/**
 * `limitsOf(meta)` → `pausedUntil`, jobs at once, jobs per window, the window in ms; nil where nothing is set. Needs `now`. BullMQ and its tools
 * see the field alone, so that of a pause that is over goes.
 */
export const luaLimitsOf = `${luaPausedUntil}
local function limitsOf(meta)
  local set = redis.call('HMGET', meta, '${metaFields.paused}', '${metaFields.concurrency}', '${metaFields.max}', '${metaFields.duration}')
  local paused = pausedUntil(set[1])
  if set[1] and not paused then redis.call('HDEL', meta, '${metaFields.paused}') end
  return paused, tonumber(set[2] or nil), tonumber(set[3] or nil), tonumber(set[4] or nil)
end
`;

/** `limitedFor(limiter, max)` → ms until the limiter lets a job pass again, nil if it does now. */
export const luaLimitedFor = `
local function limitedFor(limiter, max)
  if not max or tonumber(redis.call('GET', limiter) or '0') < max then return nil end
  return math.max(0, redis.call('PTTL', limiter))
end
`;

/** `setRate(meta, max, duration)`, `setLimits(meta, count, max, duration)`. */
export const luaSetRate = `
local function setRate(meta, max, duration)
  redis.call('HSET', meta, '${metaFields.max}', max, '${metaFields.duration}', duration)
end
`;
export const luaSetLimits = `
local function setLimits(meta, count, max, duration)
  redis.call('HSET', meta, '${metaFields.concurrency}', count, '${metaFields.max}', max, '${metaFields.duration}', duration)
end
`;

/** `closeLimiter(limiter, ms)`: nothing passes for so long. */
export const luaCloseLimiter = `
local function closeLimiter(limiter, ms)
  redis.call('SET', limiter, '${fullLimiter}', 'PX', ms)
end
`;

/**
 * `callToFront(wait, prioritized, random)` → the id of one waiting job, chosen by `random` from 0 to below 1, that is taken next now; nil
 * if none waits. It costs a walk along the list, as `LREM` does.
 */
export const luaCallToFront = `
local function callToFront(wait, prioritized, random)
  local count = redis.call('LLEN', wait)
  if count > 0 then
    local id = redis.call('LINDEX', wait, math.floor(random * count))
    redis.call('LREM', wait, 1, id)
    redis.call('RPUSH', wait, id)
    return id
  end
  count = redis.call('ZCARD', prioritized)
  if count == 0 then return nil end
  local rank = math.floor(random * count)
  local id = redis.call('ZRANGE', prioritized, rank, rank)[1]
  redis.call('ZREM', prioritized, id)
  redis.call('RPUSH', wait, id)
  return id
end
`;

/** `returnToFront(delayed, wait, jobKey, id)` → whether the job was delayed; it is the next one that is taken now. */
export const luaReturnToFront = `
local function returnToFront(delayed, wait, jobKey, id)
  if redis.call('ZREM', delayed, id) == 0 then return false end
  redis.call('HSET', jobKey, '${jobFields.delay}', 0)
  redis.call('RPUSH', wait, id)
  return true
end
`;
