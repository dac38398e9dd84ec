/** Repeating a write that Redis refuses: which refusals are temporary, and which errors end it. */
import { expect, test } from 'vitest';
import { retryWhileRefused } from '../../src/worker/retry-write.ts';

/** Fails with these, one after the other, then answers. */
function refusing(...messages: readonly string[]): { write: () => Promise<string>; tries: () => number } {
  let tries = 0;
  return {
    async write() {
      const message = messages[tries];
      tries += 1;
      if (message !== undefined) throw new Error(message);
      return 'written';
    },
    tries: () => tries,
  };
}

test.for([
  "OOM command not allowed when used memory > 'maxmemory'. script: 2998, on @user_script:1.",
  "READONLY You can't write against a read only replica.",
  'MISCONF Errors writing to the AOF file: No space left on device',
  'LOADING Redis is loading the dataset in memory',
  "ERR Error running script (call to f_1a2b): @user_script:7: @user_script: 7: -OOM command not allowed when used memory > 'maxmemory'.",
])('repeats a write after: %s', async (message) => {
  const reported: string[] = [];
  const { write, tries } = refusing(message, message);
  expect(await retryWhileRefused(write, (error) => reported.push(error.message))).toBe('written');
  expect(tries()).toBe(3);
  // Once, however long it lasts.
  expect(reported).toEqual([message]);
});

test.for(['Connection is closed.', 'ERR wrong number of arguments', 'WRONGTYPE Operation against a key'])(
  'gives up at once after: %s',
  async (message) => {
    const reported: string[] = [];
    const { write, tries } = refusing(message);
    await expect(retryWhileRefused(write, (error) => reported.push(error.message))).rejects.toThrow(message);
    expect(tries()).toBe(1);
    expect(reported).toEqual([]);
  },
);
