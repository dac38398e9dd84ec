/** The page of curl in docs/api.md works as it is printed. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { serveApi } from '../support/http-server.ts';
import { textOf } from '../support/source.ts';

const run = promisify(execFile);
const block = /## With curl\n.*?```bash\n(.*?)```/s.exec(textOf('docs/api.md'))?.[1] ?? '';
const commands = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test('each command of the page succeeds', { timeout: 90_000 }, async () => {
  const { here, port, tokens } = await serveApi();
  const worker = await here.worker();
  const env = {
    ...process.env,
    POSTLANE_URL: `http://127.0.0.1:${port}`,
    POSTLANE_TOKEN: tokens.get('all')!,
    no_proxy: '*',
  };
  const outputs: string[] = [];
  for (const command of commands) outputs.push((await run('sh', ['-c', command], { env })).stdout);
  expect(outputs.length).toBeGreaterThan(9);
  expect(outputs.slice(0, 2).map((text) => (JSON.parse(text) as { duplicate: boolean }).duplicate)).toEqual([
    false,
    true,
  ]);
  expect(await worker.end()).toBe(0);
});
