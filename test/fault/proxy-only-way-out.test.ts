/**
 * Workers whose only way out is a proxy: a network namespace with one neighbour, at which squid listens. Mail leaves by SMTP and by
 * Microsoft Graph, and nothing is tried past the proxy: the kernel counts it.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { startCliWorker } from '../../testkit/cli-worker.ts';
import { graphSection } from '../../testkit/graph/configuration.ts';
import { startFakeGraph } from '../../testkit/graph/fake-graph.ts';
import { startGuarded } from '../../testkit/guarded.ts';
import { namespaceMissing, startNamespace, type Namespace } from '../../testkit/proxies/namespace.ts';
import { squidMissing, startSquid } from '../../testkit/proxies/squid.ts';
import { findRedisServer } from '../../testkit/redis-server.mjs';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';
import { root } from '../support/source.ts';

const missing = squidMissing() ?? namespaceMissing();
if (missing !== null) console.warn(`a proxy as the only way out is not tested: ${missing}`);

const login = { user: 'relay', password: 'p@ss:word' };
const program = join(root, 'src/cli/main.ts');

/** Redis, squid, a server for each connector, and how commands run inside. */
async function world() {
  const namespace = await startNamespace();
  onTestFinished(() => namespace.end());
  const { ca, server: keys } = await createCertificates();
  const smtp = await startSmtpServer({ tls: keys });
  onTestFinished(() => smtp.stop());
  const graph = await startFakeGraph({ hostname: 'graph.corp.test' });
  onTestFinished(() => graph.stop());
  // Names that squid alone knows: the namespace has no DNS.
  const hosts = { 'smtp.corp.test': '127.0.0.1', 'graph.corp.test': '127.0.0.1' };
  const squid = await startSquid({ address: namespace.neighbour, hosts, login });
  onTestFinished(() => squid.stop());
  await startRedis(namespace);
  return { namespace, ca, smtp, graph, squid };
}

async function startRedis({ within }: Namespace): Promise<void> {
  const server = process.env['REDIS_SERVER'] ?? findRedisServer(process.env['PATH'] ?? '') ?? 'redis-server';
  const about = ['--port', '6379', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()];
  const redis = await startGuarded([...within, server, ...about]);
  onTestFinished(async () => void (await redis.end()));
}

type World = Awaited<ReturnType<typeof world>>;

function configuration({ ca, smtp, graph }: World, proxy: string | null): string {
  const way = proxy === null ? {} : { proxy };
  const relay = { host: 'smtp.corp.test', port: smtp.port, tls: { ca, servername: 'localhost' } };
  return JSON.stringify({
    redis: { url: 'redis://127.0.0.1:6379' },
    hostname: 'mail.example.com',
    systemDefaultGateway: 'relay',
    metrics: { listen: 'none' },
    connectors: {
      relay: { direction: 'outgoing', smtp: relay, ...way },
      sales: { direction: 'outgoing', address: 'sales@example.com', graph: graphSection(graph), ...way },
      past: { direction: 'outgoing', address: 'past@example.com', smtp: { host: '192.0.2.1' }, proxy: 'none' },
    },
  });
}

/** Commands inside, with this configuration and no other environment than this. */
function inside(namespace: Namespace, text: string, env: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-way-out-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const configFile = join(folder, 'postlane.json');
  writeFileSync(configFile, text);
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const within = [...namespace.within, '/usr/bin/env', ...variables];
  const call = async (...args: readonly string[]): Promise<string> => {
    const command = [...within, process.execPath, program, ...args, '--config', configFile];
    const ended = promisify(execFile)(command[0] ?? '', command.slice(1));
    // `check` ends with 1 where a connector is away, and says which.
    return (await ended.catch((error: { stdout?: string }) => error)).stdout ?? '';
  };
  const worker = async (): Promise<void> => {
    const logFile = join(folder, 'worker.log');
    const started = await startCliWorker({ configFile, within, logFile, folder });
    onTestFinished(async () => void (await started.stop()));
  };
  return { call, worker };
}

describe.skipIf(missing !== null)('with a proxy as the only way out', () => {
  test.for(['the key of a connector', 'the environment'])(
    'mail leaves through it alone, named by %s',
    async (named) => {
      const here = await world();
      const { namespace, smtp, graph, squid } = here;
      const url = `http://relay:${encodeURIComponent(login.password)}@${namespace.neighbour}:${squid.port}`;
      const byKey = named === 'the key of a connector';
      const env: Record<string, string> = byKey ? {} : { HTTPS_PROXY: url };
      const { call, worker } = inside(namespace, configuration(here, byKey ? url : null), env);
      const before = await namespace.attempts();
      await worker();

      for (const from of ['shop@example.com', 'sales@example.com']) {
        const sent = await call('send', '--from', from, '--to', 'a@example.net', '--text', 'x', '--wait', '--json');
        expect(sent).toContain('"state":"sent"');
      }
      expect(smtp.received.transactions.map(({ from, secure }) => ({ from, secure }))).toEqual([
        { from: 'shop@example.com', secure: true },
      ]);
      expect([graph.deliveries.length, graph.count('token')]).toEqual([1, 1]);
      expect(await namespace.attempts()).toEqual(before);
      expect(await call('explain', 'sales@example.com', '--json')).toContain(
        `"proxy":"http://${namespace.neighbour}:${squid.port}"`,
      );

      // What the counter shows where something is tried past it.
      const checked = await call('check', '--connect', '--timeout', '5s', '--json');
      expect(checked).toContain('ENETUNREACH');
      expect(checked).not.toContain(login.password);
      const after = await namespace.attempts();
      expect(after.withoutRoute).toBeGreaterThan(before.withoutRoute);

      graph.dropConnections();
      smtp.dropConnections();
      const names = async (): Promise<string[]> =>
        [...new Set((await squid.connects()).map((line) => line.split(' ')[1] ?? ''))].toSorted();
      const all = [`graph.corp.test:${graph.port}`, `smtp.corp.test:${smtp.port}`];
      await until(async () => (await names()).length >= all.length, { what: 'squid to tell of its tunnels' });
      expect(await names()).toEqual(all);
    },
  );
});
