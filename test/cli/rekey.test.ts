/** `postlane rekey` on the command line: what it refuses, what it prints, and its exit codes. */
import { expect, test } from 'vitest';
import { cliConfigOver } from '../support/cli-config.ts';
import { project } from '../support/cli.ts';
import { testProducer } from '../support/postlane.ts';
import { both, first, mailOf, second } from '../support/rekeying.ts';
import { redisUrl, shardCount, testPrefix } from '../support/redis.ts';

function projectWith(encryption: object | null, prefix = '{unused}') {
  const section = encryption === null ? '' : `encryption: ${JSON.stringify(encryption)}\n`;
  const redis = `{ url: "${redisUrl()}", prefix: "${prefix}", shards: ${shardCount()} }`;
  return project(`${cliConfigOver(redis)}${section}`);
}

test.each([
  [null, [], /`encryption` is not configured/],
  [both, ['--from', 'k2'], /"k2" is the active key/],
  [both, ['--from', 'k9'], /no key "k9".*the other keys: k1/],
  [second, ['--from', 'k1'], /there is no other key/],
  [both, ['--rate', 'fast'], /20\/s or 600\/m/],
])('a mistake ends with 2 and says why: %#', async (encryption, args, why) => {
  const ended = await projectWith(encryption).call(['rekey', ...args]);
  expect(ended).toMatchObject({ code: 2, stdout: '' });
  expect(ended.stderr).toMatch(why);
});

test('it says what it has sealed and what is left, ends with 1 while anything is, and is in the audit', async () => {
  const prefix = testPrefix();
  const later = { sendAt: new Date(Date.now() + 3_600_000) };
  await testProducer(prefix, { encryption: first }).send(mailOf('m', 'a', later));
  const none = { waiting: 0, deadLetters: 0, kept: 0, contents: 0, idempotencyKeys: 0 };
  const counts = { ...none, waiting: 1, contents: 1 };

  const keyless = await projectWith(second, prefix).callJson(['rekey']);
  const lost = { key: 'k1', why: 'key-missing', ...counts, ids: { waiting: ['m'], deadLetters: [] } };
  expect(keyless).toMatchObject({ code: 1, values: [{ done: false, sealed: none, left: [lost] }] });

  const here = projectWith(both, prefix);
  const counted = await here.call(['rekey', '--dry-run']);
  expect(counted).toMatchObject({ code: 1, stderr: '' });
  expect(counted.stdout).toBe('Left:\n  sealed with k1: 1 waiting, 1 content (would be sealed)\n');
  const done = await here.call(['rekey']);
  expect(done).toMatchObject({ code: 0, stderr: '' });
  expect(done.stdout).toBe('Sealed with k2: 1 waiting, 1 content.\nNothing is left under another key.\n');
  const again = await here.callJson(['rekey', '--from', 'k1']);
  const nothing = { active: 'k2', from: 'k1', dryRun: false, done: true, sealed: none, left: [] };
  expect(again).toMatchObject({ code: 0, values: [nothing] });
  const { values } = await here.callJson(['audit', '--action', 'rekey']);
  expect(values.map(({ result, detail }) => [result, detail])).toEqual([
    ['done', 'with k2: nothing; left: nothing'],
    ['done', 'with k2: 1 waiting, 1 content; left: nothing'],
    ['refused', 'with k2: nothing; left: sealed with k1: 1 waiting, 1 content'],
  ]);
});
