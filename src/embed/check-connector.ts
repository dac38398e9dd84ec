/** Logs in to the server of a connector, and sends nothing. */
import { abortable } from '../async/abort.ts';
import type { ConnectorConfig } from '../config/config.ts';
import type { CheckResult } from '../transport/transport.ts';
import type { BuildTransport } from './transports.ts';

export interface ConnectorCheck {
  readonly connector: string;
  readonly transport: string;
  readonly ok: boolean;
  readonly fault: string | null;
  readonly code: string | null;
  readonly detail: string;
  readonly durationMs: number;
}

/** null: it only receives. */
export async function checkConnector(
  connector: ConnectorConfig,
  build: BuildTransport,
  hostname: string,
  timeoutMs: number,
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
  await transport.close();
  const about = { connector: connector.id, transport: transport.kind, durationMs };
  if (result.ok) return { ...about, ok: true, fault: null, code: null, detail: result.detail };
  const { code, text } = result.reply;
  return { ...about, ok: false, fault: result.fault, code, detail: text ?? 'no answer' };
}
