/** npm run -s replies: what it prints, and what it says of a file that is no table of replies. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const head = 'id\tset\tclass\tphase\treply\tsource\tform';
const rows = [
  'r1\tA\tpermanent-recipient\trcpt\t550 5.1.1 User unknown\tx\tx',
  'r2\tA\tconnector-or-policy\tgreeting\t554 no\tx\tx',
  'r3\tA\ttransient\tfinal\t451-4.3.0 try\\n451 later\tx\tx',
  'r4\tA\ttransient\trcpt\t452 too many recipients\tx\tx',
  'r5\tA\tthrottle\trcpt\t550 user unknown\tx\tx',
  'r6\tA\tconnector-or-policy\tmail\t530 authenticate first\tx\tx',
];
const file = [head, ...rows, ''].join('\n');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postlane-replies-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(content: string | Buffer | null, ...options: string[]): { code: number | null; out: string; err: string } {
  const name = 'replies.tsv';
  rmSync(join(folder, name), { force: true });
  if (content !== null) writeFileSync(join(folder, name), content);
  const argv = ['tools/replies.ts', name, ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, INIT_CWD: folder },
  });
  return { code: status, out: stdout, err: stderr };
}

test('--json prints one object for each reply, in the words of the design', () => {
  const { code, out, err } = run(file, '--json');
  expect([code, err]).toEqual([0, '']);
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
  ).toEqual([
    { id: 'r1', class: 'permanent-recipient', scope: 'recipient', outcome: 'rejected' },
    { id: 'r2', class: 'connector-or-policy', scope: 'connector', outcome: 'fault' },
    { id: 'r3', class: 'transient', scope: 'message', outcome: 'open' },
    { id: 'r4', class: 'transient', scope: 'list', outcome: 'deferred' },
    { id: 'r5', class: 'throttle', scope: 'recipient', outcome: 'rejected' },
    { id: 'r6', class: 'connector-or-policy', scope: 'connector', outcome: 'open' },
  ]);
});

test('--wrong adds the replies for which mail would be lost', () => {
  const lines = run(file, '--wrong').out.trimEnd().split('\n');
  expect(lines[0]?.split(/ +/)).toEqual(['class', 'n', 'rejected', 'open', 'deferred', 'fault']);
  expect(lines).toHaveLength(1 + 4 + 1);
  expect(lines.at(-1)).toBe('throttle\trcpt\trejected\t550 user unknown');
});

test.each<[string, string]>([
  ['CRLF', file.replaceAll('\n', '\r\n')],
  ['a byte order mark', `\ufeff${file}`],
  ['other columns, in another order', file.replaceAll(/^(\w+)\t(\S+)\t(\S+)/gm, '$3\t$1\tmore')],
])('a file with %s is read like any other', (_what, content) => {
  expect(run(content)).toEqual(run(file));
});

describe('a file that is no table of replies ends with exit code 2, and a sentence that says why', () => {
  test.each<[string, string | Buffer | null, RegExp]>([
    ['is missing', null, /: there is no such file$/m],
    ['is empty', '', /:1: .*missing: id, class, phase, reply/],
    ['has no column for the phase', 'id\tclass\treply\nr1\tx\t550 x\n', /:1: .*missing: phase/],
    ['has a line with too few cells', `${head}\n${rows[0]}\nr2\tA\tx\n`, /:3: there is no phase/],
    [
      'has a phase that does not exist',
      `${head}\nr1\tA\tx\trcpt\u001b[2J\t550\tx\tx\n`,
      /:2: the phase "rcpt \[2J" must be/,
    ],
    ['is binary', Buffer.from([0x69, 0x64, 0xff, 0xfe, 0x00]), /must be a text in UTF-8/],
  ])('it %s', (_what, content, expected) => {
    const { code, out, err } = run(content);
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(expected);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });
});

test('a hundred thousand replies are read', () => {
  const { code, out } = run(`${head}\n${`${rows.join('\n')}\n`.repeat(17_000)}`, '--json');
  expect(code).toBe(0);
  expect(out.trimEnd().split('\n')).toHaveLength(102_000);
});
