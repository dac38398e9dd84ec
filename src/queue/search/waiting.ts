/**
 * Messages that wait in the intake, for their `sendAt` or for a worker: they have no row and no entry in the index yet, so a search looks
 * through the jobs themselves. Redis compares the text of their data first; what it names is read and judged here.
 */
import { acceptedAt } from '../../message/identity.ts';
import { readIntakeData } from '../jobs.ts';
import { runReading, script } from '../lua/script.ts';
import type { LedgerRow } from '../ledger/ledger.ts';
import type { RedisClient } from '../redis/connection.ts';
import { idOfIntakeJob } from '../redis/job-ids.ts';
import { intakeName, type HomeKeys } from '../redis/keys.ts';
import { byAge, isAfter, type Position, type Search } from './query.ts';

/** A message that may match, and its job. */
export interface WaitingMessage extends Position {
  readonly jobId: string;
}

interface FoundWaiting {
  readonly waiting: readonly WaitingMessage[];
  /** false: there are more jobs than are looked at, or larger ones. */
  readonly complete: boolean;
}

/** Jobs of each list that a search looks at: of those with a time ahead the last ones, else the newest. */
const mostOfList = 5_000;
/** Of one step: Redis serves no other client meanwhile. */
const jobsPerStep = 200;
const bytesPerStep = 1024 * 1024;
/** Larger data is not looked into. Texts and attachments above 64 KiB are stored beside it. */
const mostDataBytes = 1024 * 1024;

/** → for each job, as far as it came: its time, '' if the text is not in it, or `large`. @lua */
export const waitingScript = script(
  { keys: ['_anchor'], args: ['text', 'mostDataBytes', 'bytesPerStep'], moreKeys: 'jobs' },
  /* lua */ `
local found, looked = {}, 0
for i, key in ipairs(jobs) do
  local time = redis.pcall('HGET', key, 'timestamp')
  found[i] = type(time) == 'string' and time or ''
  if text ~= '' and found[i] ~= '' then
    local size = redis.call('HSTRLEN', key, 'data')
    if size > tonumber(mostDataBytes) then found[i] = 'large'
    else
      looked = looked + size
      local data = redis.call('HGET', key, 'data') or ''
      if not string.find(string.lower(data), text, 1, true) then found[i] = '' end
      if looked > tonumber(bytesPerStep) then break end
    end
  end
end
return found
`,
);

/** → of each job its data, time and delay; nothing of one that is gone, or larger. @lua */
export const waitingDataScript = script(
  { keys: ['_anchor'], args: ['mostDataBytes'], moreKeys: 'jobs' },
  /* lua */ `
local found = {}
for i, key in ipairs(jobs) do
  found[i] = false
  if redis.call('TYPE', key).ok == 'hash' and redis.call('HSTRLEN', key, 'data') <= tonumber(mostDataBytes) then
    found[i] = redis.call('HMGET', key, 'data', 'timestamp', 'delay')
  end
end
return found
`,
);

/** Which of BullMQ's lists hold what has this state. What has a connector, a Message-ID to be found by, or a report is routed. */
function listsOf({
  query: { state, connector, bounced },
  messageId,
}: Search): readonly ('delayed' | 'prioritized' | 'wait')[] {
  if (connector !== undefined || bounced === true || messageId !== null) return [];
  if (state === undefined) return ['delayed', 'prioritized', 'wait'];
  return state === 'scheduled' ? ['delayed'] : state === 'queued' ? ['prioritized', 'wait'] : [];
}

/** The newest first. */
export async function findWaiting(redis: RedisClient, keys: HomeKeys, search: Search): Promise<FoundWaiting> {
  const lists = await Promise.all(
    listsOf(search).map(async (name) => {
      const key = keys.queue(intakeName, name);
      return name === 'wait' ? redis.lrange(key, 0, mostOfList) : redis.zrevrange(key, 0, mostOfList);
    }),
  );
  let complete = lists.every((ids) => ids.length <= mostOfList);
  const jobIds = [...new Set(lists.flatMap((ids) => ids.slice(0, mostOfList)))];
  const text = textOf(search);
  const waiting: WaitingMessage[] = [];
  for (let from = 0; from < jobIds.length;) {
    const some = jobIds.slice(from, from + jobsPerStep);
    const times = (await runReading(redis, waitingScript, {
      keys: { _anchor: keys.queue(intakeName, 'wait') },
      args: { text, mostDataBytes, bytesPerStep },
      moreKeys: some.map((jobId) => keys.queue(intakeName, jobId)),
    })) as string[];
    for (const [i, time] of times.entries()) {
      if (time === 'large') complete = false;
      if (!/^\d{1,16}$/.test(time)) continue;
      const id = idOfIntakeJob(some[i]!, Number(time));
      const found = { jobId: some[i]!, id, at: acceptedAt(id, Number(time)) };
      if (found.at >= search.since && found.at <= search.until && isAfter(search, found)) waiting.push(found);
    }
    from += Math.max(1, times.length);
  }
  return { waiting: waiting.toSorted(byAge), complete };
}

/** In JSON only these characters stand for themselves; with any other one every job is read. */
function textOf({ recipient, from }: Search): string {
  const address = recipient ?? from ?? '';
  return /^[\w.+@'=~-]*$/.test(address) ? address : '';
}

/** As rows, in the order that was asked; null for one that is gone, or cannot be read. */
export async function readWaiting(
  redis: RedisClient,
  keys: HomeKeys,
  waiting: readonly WaitingMessage[],
): Promise<(LedgerRow | null)[]> {
  const rows: (LedgerRow | null)[] = [];
  for (let from = 0; from < waiting.length; from += jobsPerRead) {
    const some = waiting.slice(from, from + jobsPerRead);
    const answers = (await runReading(redis, waitingDataScript, {
      keys: { _anchor: keys.queue(intakeName, 'wait') },
      args: { mostDataBytes },
      moreKeys: some.map(({ jobId }) => keys.queue(intakeName, jobId)),
    })) as ((string | null)[] | null)[];
    for (const [i, message] of some.entries()) rows.push(rowOf(message, answers[i] ?? null));
  }
  return rows;
}

/** Of one answer: each may be as large as is looked into. */
const jobsPerRead = 20;

function rowOf({ id, at }: WaitingMessage, values: readonly (string | null)[] | null): LedgerRow | null {
  const [data, time, delay] = values ?? [];
  if (!data || !time) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(data);
  } catch {
    return null;
  }
  const { from, recipients, metadata, submittedBy } = readIntakeData(parsed);
  const delayMs = Number(delay ?? 0);
  return {
    id,
    state: delayMs > 0 ? 'scheduled' : 'queued',
    connector: null,
    rule: null,
    messageId: null,
    attempts: 0,
    recipients: recipients.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    acceptedAt: at,
    updatedAt: at,
    deadline: 0,
    retryAt: delayMs > 0 ? Number(time) + delayMs : null,
    reason: null,
    open: null,
    setAside: false,
    attributed: null,
    heardAgain: false,
    from,
    metadata,
    subject: null,
    erasedAt: null,
    submittedBy,
    history: [],
    attemptLog: [],
    trace: null,
    lastTrace: null,
  };
}
