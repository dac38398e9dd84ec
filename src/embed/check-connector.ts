/** Logs in to the server of a connector, asks it for each sender, and sends nothing. */
import { abortable } from '../async/abort.ts';
import type { ConnectorConfig } from '../config/config.ts';
import { sends } from '../routing/connector.ts';
import { wayOf } from '../transport/proxy.ts';
import type { CheckResult } from '../transport/transport.ts';
import { checkHosts, eachHostOf, joined, type HostCheck, type ServerCheck } from './check-hosts.ts';
import { isBad, trySenders, type Senders, type SendersReport } from './senders.ts';
import type { BuildTransport } from './transports.ts';

export interface ConnectorCheck extends ServerCheck {
  readonly connector: string;
  readonly transport: string;
  /** Those that are reached without the proxy, `host:port`; empty without one. */
  readonly directHosts: readonly string[];
  /** Each of several hosts; empty if it has one server. */
  readonly hosts: readonly HostCheck[];
}

export interface CheckTask {
  readonly build: BuildTransport;
  readonly hostname: string;
  /** For the login, and once more for all senders; of several hosts for each. */
  readonly timeoutMs: number;
  readonly senders: Senders;
  /** Called for each sender that is done. */
  readonly told?: () => void;
}

/** null: it only receives. `ok`: a login works, and each sender is taken by a server that can be used. */
export async function checkConnector(connector: ConnectorConfig, task: CheckTask): Promise<ConnectorCheck | null> {
  const { transport, direction } = connector;
  if (transport === null || !sends(direction)) return null;
  const startedAt = performance.now();
  const { proxy, directHosts } = wayOf(transport);
  const about = { connector: connector.id, transport: transport.kind, directHosts };
  const each = eachHostOf(connector);
  if (each.length === 0) return { ...about, ...(await checkServer(connector, task)), hosts: [] };
  const hosts = await checkHosts(each, (one) => checkServer(one, task));
  return { ...about, proxy, ...joined(hosts), durationMs: Math.round(performance.now() - startedAt), hosts };
}

/** How many servers a check of it asks, at most one after the other. */
export function serverCount(connector: ConnectorConfig): number {
  return Math.max(1, eachHostOf(connector).length);
}

async function checkServer(
  connector: ConnectorConfig,
  { build, hostname, timeoutMs, senders: wanted, told = () => undefined }: CheckTask,
): Promise<ServerCheck> {
  const transport = build(connector, hostname);
  if (transport === null) throw new Error(`the connector ${connector.id} never sends`);
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const result = await abortable<CheckResult>(transport.check(signal), signal, () => {
    const text = `no answer within ${timeoutMs} ms`;
    return { ok: false, fault: 'unreachable', reply: { code: 'ETIMEDOUT', enhancedCode: null, text } };
  });
  const durationMs = Math.round(performance.now() - startedAt);
  // A login that Graph refused for one mailbox may have been refused for this one only: the others show it.
  const asks = result.ok || (transport.kind === 'graph' && result.fault === 'config');
  const senders = asks ? await trySenders(transport, wanted, timeoutMs, told) : null;
  await transport.close();
  const about = { proxy: wayOf(connector.transport).proxy, durationMs, senders };
  if (result.ok) {
    const bad = senders?.tested.find(isBad) ?? null;
    return bad === null
      ? { ...about, ok: true, fault: null, code: null, detail: result.detail }
      : { ...about, ok: false, fault: 'sender', code: bad.code, detail: sendersLine(senders) };
  }
  const { code, text } = result.reply;
  return { ...about, ok: false, fault: result.fault, code, detail: text ?? 'no answer' };
}

function sendersLine(report: SendersReport | null): string {
  const count = (wanted: string): number => report?.tested.filter(({ result }) => result === wanted).length ?? 0;
  return `the login works; of ${report?.tested.length ?? 0} senders, ${count('refused')} refused and ${count('unknown')} without an answer`;
}
