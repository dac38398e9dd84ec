/**
 * BullMQ's steps that touch jobs of strangers: fetching one, and putting abandoned ones back. Both read and write fields of a job's
 * hash without asking what they are, and an error in the middle of a step would leave it half done: ids taken from a list and put
 * on none. Here these steps run with a `redis` of ours, which answers for an odd hash, and hands out a job only as far as it is
 * sound (soundness.ts).
 */
import { jobName } from '../redis/keys.ts';
import { luaReadJob, type JobBounds } from './soundness.ts';

/** The commands of BullMQ's backend that run guarded. The first two fetch; the third counts how often a job was abandoned. */
const guardedCommands: ReadonlySet<string> = new Set(['moveToActive', 'moveToFinished', 'moveStalledJobsToWait']);

export function isGuarded(command: string): boolean {
  return guardedCommands.has(command);
}

/** The arguments of the guard, in the order in which `luaGuard` reads them. */
export function guardArgs({ maxDataBytes, maxStalls }: JobBounds): (string | number)[] {
  return [jobName, maxDataBytes, maxStalls];
}

export const guardArgCount = 3;

/**
 * `guarded(name, maxDataBytes, maxStalls)` → a `redis` for BullMQ's step. Only fetching reads a whole hash, so HGETALL is the place
 * where a job is handed out. Commands on the hash of a job that fail because of what it is answer as if the field were missing;
 * `readJob` finds it unsound afterwards. Every other error is Redis' own, and ends the step.
 */
export const luaGuard = `
${luaReadJob}
local function guarded(jobName, maxDataBytes, maxStalls)
  local real, realCall, realPcall = redis, redis.call, redis.pcall
  local lenient = { HGET = false, HEXISTS = 0, HSET = 0, HMSET = false, HINCRBY = 0 }
  local function call(command, key, ...)
    if command == 'HGETALL' then return (readJob(key, jobName, maxDataBytes, maxStalls)) end
    local otherwise = lenient[command]
    if otherwise == nil then return realCall(command, key, ...) end
    local answer = realPcall(command, key, ...)
    if type(answer) ~= 'table' or not answer.err then return answer end
    if string.find(answer.err, 'WRONGTYPE', 1, true) or string.find(answer.err, 'not an integer', 1, true)
      or string.find(answer.err, 'would overflow', 1, true) then return otherwise end
    return realCall(command, key, ...)
  end
  return setmetatable({ call = call }, { __index = real })
end
`;
