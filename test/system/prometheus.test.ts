/**
 * Prometheus itself (Debian package) scrapes two workers and `serve` with the rules of the repository, while a connector fails: the
 * alarm fires. Intervals are short; `PROMETHEUS_SECONDS=60 npm test -- test/system/prometheus.test.ts` watches for a minute.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../testkit/ports.ts';
import { until } from '../../testkit/until.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';
import { textOf } from '../support/source.ts';

const missing = spawnSync('prometheus', ['--version']).error !== undefined;
const watchSeconds = Number(process.env['PROMETHEUS_SECONDS'] ?? 3);

interface Vector {
  readonly data: {
    readonly result: readonly { readonly metric: Record<string, string>; readonly value: [number, string] }[];
  };
}

/** The rules of the repository, whose alarms wait for a second. */
function quickRules(): string {
  const quick = textOf('deploy/prometheus/postlane.rules.yml').replaceAll(/^ {8}for: \w+$/gm, '        for: 1s');
  expect(quick).toContain('for: 1s');
  return quick;
}

async function startPrometheus(
  targets: readonly string[],
): Promise<(query: string) => Promise<Vector['data']['result']>> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-prometheus-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'postlane.rules.yml'), quickRules());
  const config = {
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '500ms' },
    rule_files: ['postlane.rules.yml'],
    scrape_configs: [{ job_name: 'postlane', static_configs: [{ targets }] }],
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const port = await freePort();
  const child = spawn(
    'prometheus',
    [
      '--config.file=prometheus.yml',
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { cwd: folder, stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return async (query) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
    return ((await answer.json()) as Vector).data.result;
  };
}

test.skipIf(missing)(
  'Prometheus scrapes two workers and `serve`, and the alarm of a connector that fails fires',
  { timeout: 120_000 + watchSeconds * 2_000 },
  async () => {
    const server = await startTestServer();
    const dead = `{ address: dead@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${await freePort()}, security: none } }`;
    const listen = ['metrics: { listen: 127.0.0.1:0 }', 'api: { listen: 127.0.0.1:0 }'];
    const here = project(server.config(testPrefix(), { dead }, listen));
    const workers = await Promise.all([here.worker(), here.worker()]);
    const serve = await here.serve();
    const lines = [
      ...(await Promise.all(workers.map((worker) => worker.logged('metrics-listening')))),
      await serve.logged('serving'),
    ];
    const query = await startPrometheus(lines.map(({ port }) => `127.0.0.1:${String(port)}`));
    const count = async (expression: string): Promise<number> => Number((await query(expression))[0]?.value[1] ?? 0);
    await until(async () => (await count('sum(up{job="postlane"})')) === 3, { what: 'three targets' });
    expect(await query('ALERTS{alertname="PostlaneConnectorFault"}')).toEqual([]);

    const send = (from: string, id: string) =>
      here.call(['send', '--from', from, '--to', 'a@example.net', '--subject', 'x', '--text', 'x', '--id', id]);
    await send('me@example.com', 'good');
    await send('dead@example.com', 'bad');
    const fires =
      'ALERTS{alertname="PostlaneConnectorFault", alertstate="firing", connector="dead", fault="unreachable"}';
    await until(async () => (await query(fires)).length === 1, { what: 'the alarm', timeoutMs: 60_000 });
    const from = Date.now();
    await until(() => Date.now() - from >= watchSeconds * 1_000, { what: 'the time', timeoutMs: watchSeconds * 2_000 });

    // Scrapes were read, but for those that a busy machine cut off, and both kinds of process say what is theirs.
    expect(await count('min(avg_over_time(up{job="postlane"}[5m]))')).toBeGreaterThan(0.5);
    expect(await count('sum(postlane_messages_settled_total{state="sent"})')).toBe(1);
    expect(await count('postlane_workers')).toBe(2);
    expect(await count('count(postlane_unsettled_messages)')).toBe(1);
    expect(await query(fires)).toHaveLength(1);
    const silent = [
      'PostlaneTargetDown',
      'PostlaneFleetUnseen',
      'PostlaneRedisAway',
      'PostlaneHeld',
      'PostlaneConnectorRefused',
    ];
    expect(await query(`ALERTS{alertname=~"${silent.join('|')}", alertstate="firing"}`)).toEqual([]);
  },
);
