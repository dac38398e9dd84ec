/** Logs in to the server of a connector, asks it for each sender, and sends nothing. */
import { abortable } from '../async/abort.ts';
import type { ConnectorConfig } from '../config/config.ts';
import { proxyOf } from '../transport/proxy.ts';
import type { CheckResult } from '../transport/transport.ts';
import { trySenders, type Senders, type SendersReport } from './senders.ts';
import type { BuildTransport } from './transports.ts';

export interface ConnectorCheck {
  readonly connector: string;
  readonly transport: string;
  /** On the way to the server, without its login; null: none. */
  readonly proxy: string | null;
  readonly ok: boolean;
  readonly fault: string | null;
  readonly code: string | null;
  readonly detail: string;
  readonly durationMs: number;
  /** null: the login failed, or senders were not asked for. */
  readonly senders: SendersReport | null;
}

export interface CheckTask {
  readonly build: BuildTransport;
  readonly hostname: string;
  /** For the login, and once more for all senders. */
  readonly timeoutMs: number;
  readonly senders: Senders;
  /** Called for each sender that is done. */
  readonly told?: () => void;
}

/** null: it only receives. `ok`: the login works, and no sender is refused or without an answer. */
export async function checkConnector(
  connector: ConnectorConfig,
  { build, hostname, timeoutMs, senders: wanted, told = () => undefined }: CheckTask,
): Promise<ConnectorCheck | null> {
  const transport = build(connector, hostname);
  if (transport === null) return null;
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
  const proxy = proxyOf(connector.transport);
  const about = { connector: connector.id, transport: transport.kind, proxy, durationMs, senders };
  if (result.ok) {
    const bad = senders?.tested.find(({ result: each }) => each === 'refused' || each === 'unknown') ?? null;
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
