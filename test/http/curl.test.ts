/** The page of curl in docs/api.md works as it is printed. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { startTestServer } from '../support/cli-config.ts';
import { serveApi } from '../support/http-server.ts';
import { textOf } from '../support/source.ts';

const run = promisify(execFile);
const block = /## With curl\n.*?```bash\n(.*?)```/s.exec(textOf('docs/api.md'))?.[1] ?? '';
const commands = block.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

test(
  'each command of the page succeeds, and what was refused is sent through the other connector',
  { timeout: 90_000 },
  async () => {
    const strict = await startTestServer({ script: { RCPT: () => '550 5.1.1 no such user' } });
    const { here, port, tokens, post, ask, mail } = await serveApi({
      others: {
        strict: `{ address: orders@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${strict.port}, security: none } }`,
      },
    });
    const worker = await here.worker();
    await post('/v1/messages', { id: 'refused', from: 'orders@example.com', to: 'last@example.net', text: 'x' });
    await until(async () => (await ask('/v1/messages/refused')).body.state === 'dead', { what: 'the refusal' });
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
    await until(async () => (await ask('/v1/messages/refused')).body.state === 'sent', { what: 'the replay' });
    expect(mail.received.transactions.flatMap(({ to }) => to)).toContain('last@example.net');
    const did = (await ask('/v1/audit')).body.items.map(({ action }: { action: string }) => action);
    expect(did).toEqual(['replay', 'resume', 'pause', 'cancel']);
    expect(await worker.end()).toBe(0);
  },
);
