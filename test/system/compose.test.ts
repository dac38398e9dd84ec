/** The processes of deploy/compose/compose.yaml, started here with the same commands, configuration, secrets and users of Redis. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { freePort } from '../../testkit/ports.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';
import { sink } from '../support/accounting.ts';
import { project } from '../support/cli.ts';
import { root, textOf } from '../support/source.ts';

interface Service {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[] };
}

const { services } = parse(textOf('deploy/compose/compose.yaml'), { merge: true }) as {
  services: Record<'redis' | 'worker' | 'serve' | 'cli', Service>;
};
const hasClient = spawnSync('redis-cli', ['--version']).status === 0;

test('a message that the API takes is sent by a worker, and Redis refuses none of the processes anything', async () => {
  const server = await sink();
  const [httpPort, healthPort] = [await freePort(), await freePort()];
  const text = textOf('deploy/compose/config/postlane.yaml');
  const here = project('');
  const secrets = join(here.folder, 'secrets');
  expect(spawnSync(join(root, 'deploy/compose/secrets.sh'), [secrets]).status).toBe(0);
  const secret = (name: string): string => readFileSync(join(secrets, name), 'utf8').trim();

  // The user `default` is switched off when the server is up: until then it is asked whether it is.
  const [program, ...settings] = services.redis.command;
  expect([program, settings.at(-1)]).toEqual(['redis-server', '/run/secrets/redis-users.acl']);
  const users = here.write('users.acl', secret('redis-users.acl').replace('user default off\n', ''));
  writeFileSync(users, '\nuser default on nopass ~* &* +@all\nuser admin on nopass ~* &* +@all\n', { flag: 'a' });
  const redis = await startPrivateRedis({ settings: [...settings.slice(0, -1), users] });
  onTestFinished(() => redis.stop());
  const admin = new Redis(redis.port, '127.0.0.1', { username: 'admin', password: 'any' });
  onTestFinished(() => admin.disconnect());
  await admin.acl('SETUSER', 'default', 'off');

  const start = (service: Service, password: string) => {
    // As Compose mounts it.
    const file = here.write(`${service.command[0]}-password`, secret(password));
    const config = here.write(
      `${service.command[0]}.yaml`,
      text
        .replace('redis://redis:6379', redis.url)
        .replace('host: mailpit, port: 1025', `host: 127.0.0.1, port: ${server.port}`)
        .replace('health: { port: 8080 }', `health: { port: ${healthPort} }`)
        .replace('0.0.0.0:9464', '127.0.0.1:0')
        .replace('0.0.0.0:8025', `127.0.0.1:${httpPort}`)
        .replace('/run/secrets/redis-password', file)
        .replaceAll('/run/secrets', secrets),
    );
    return { env: { REDIS_URL: redis.url, POSTLANE_CONFIG: config, ...service.environment } };
  };
  await here.worker(start(services.worker, 'redis-worker-password'));
  await here.serve(start(services.serve, 'redis-operator-password'));
  const cli = start(services.cli, 'redis-operator-password');

  const at = `http://127.0.0.1:${httpPort}`;
  const answer = await fetch(`${at}/v1/messages`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${secret('api-token')}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ from: 'me@example.com', to: 'a@example.net', subject: 'Hi', text: 'Hello' }),
  });
  expect(answer.status).toBe(202);
  const { id } = (await answer.json()) as { id: string };
  await until(() => server.received.transactions.length === 1, { what: 'the mail' });
  const status = async () => {
    const { stdout, code } = await here.run(['status', id, '--json'], cli);
    expect(code).toBe(0);
    return (JSON.parse(stdout) as { state: string }).state;
  };
  await until(async () => (await status()) === 'sent', { what: 'the state', timeoutMs: 30_000 });
  expect((await here.run(['doctor'], cli)).code).toBe(0);

  // As Prometheus asks: `serve` is a name of its own, and no token is needed.
  const metrics = await fetch(`${at}/metrics`, { headers: { Host: `serve:${httpPort}` } });
  expect(await metrics.text()).toContain('postlane_workers 1');
  expect((await fetch(`${at}/livez`)).status).toBe(200);

  expect(((await admin.acl('LOG', 100)) as unknown[][]).map((row) => row.slice(0, 10).join(' '))).toEqual([]);

  const [, check = ''] = services.redis.healthcheck.test;
  const healthy = (users: string) => {
    const command = check
      .replaceAll('$$', '$')
      .replace('/run/secrets', users)
      .replace('redis-cli', `redis-cli -p ${redis.port}`);
    return spawnSync('sh', ['-c', command], { encoding: 'utf8' }).status === 0;
  };
  expect(healthy(secrets)).toBe(hasClient);
  await admin.acl('SETUSER', 'postlane-worker', 'off');
  expect(healthy(secrets)).toBe(false);

  // Redis goes: both say that they are not ready, and what the image asks restarts neither.
  admin.disconnect();
  await redis.kill();
  for (const at of [`http://127.0.0.1:${httpPort}`, `http://127.0.0.1:${healthPort}`]) {
    await until(async () => (await fetch(`${at}/readyz`)).status === 503, {
      what: 'it not to be ready',
      timeoutMs: 30_000,
    });
    expect(await imageCheck(`${at}/livez`)).toBe(0);
    expect(await imageCheck(`${at}/readyz`)).toBe(1);
  }
});

/** The HEALTHCHECK of the image. → its exit code. */
async function imageCheck(url: string): Promise<number | null> {
  const [, command = '[]'] = /^HEALTHCHECK [\s\S]*?CMD (\[.*\])$/m.exec(textOf('Dockerfile')) ?? [];
  const [, ...args] = JSON.parse(command) as string[];
  const child = spawn(process.execPath, args, { env: { ...process.env, HEALTH_URL: url }, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}
