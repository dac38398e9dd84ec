/** Counts the bodies of messages that a Redis has ever been sent, by its append-only file: how many were sealed, and how many plain. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Of the key with which TEST_ENCRYPTION=1 seals; tests of encryption itself have others. */
export const testKeyName = 'test';
/** How data begins that is not sealed, as producers write it. */
const plainMark = '{"v":1,"message":{';

export interface Bodies {
  readonly sealed: number;
  readonly plain: number;
}

/** `dir`: of a server that does not rewrite its file. `key`: the name of the one that sealed. */
export async function countBodies(dir: string, key: string): Promise<Bodies> {
  const marks = { sealed: `"sealed":{"k":"${key}"`, plain: plainMark };
  const names = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith('.aof'));
  const counts = await Promise.all(names.map((name) => countIn(join(dir, name), marks)));
  return counts.reduce((sum, each) => ({ sealed: sum.sealed + each.sealed, plain: sum.plain + each.plain }), {
    sealed: 0,
    plain: 0,
  });
}

async function countIn(path: string, { sealed, plain }: Readonly<Record<keyof Bodies, string>>): Promise<Bodies> {
  const counts = { sealed: 0, plain: 0 };
  let rest = '';
  const count = (text: string, end: number): void => {
    counts.sealed += occurrences(text, sealed, end);
    counts.plain += occurrences(text, plain, end);
    rest = text.slice(end);
  };
  for await (const chunk of createReadStream(path, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
    const text = rest + (chunk as string);
    // A mark that two chunks share is counted with the second.
    count(text, Math.max(0, text.length - sealed.length - plain.length));
  }
  count(rest, rest.length);
  return counts;
}

/** That begin before `end`. */
function occurrences(text: string, mark: string, end: number): number {
  let count = 0;
  for (let at = text.indexOf(mark); at !== -1 && at < end; at = text.indexOf(mark, at + 1)) count += 1;
  return count;
}
