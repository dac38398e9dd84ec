/** Which senders of a connector are asked of its server, and what was learned of them. */
import { routingKey } from '../message/address.ts';
import { idPlace } from '../message/return-path.ts';
import type { Config, ConnectorConfig } from '../config/config.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import type { MissingRight, Transport } from '../transport/transport.ts';

/** Senders of a connector that one check asks for, at most. */
const maxSenders = 100;

export interface SenderRow {
  readonly address: string;
  readonly result: 'ok' | 'unproven' | 'refused' | 'unknown';
  readonly right: MissingRight | null;
  readonly code: string | null;
  readonly enhancedCode: string | null;
  readonly reply: string | null;
  readonly advice: string;
}

/** `untested`: addresses beyond the bound. `patterns`: what the connector sends for beside addresses, of which none was asked. */
export interface SendersReport {
  readonly tested: readonly SenderRow[];
  readonly untested: number;
  readonly patterns: readonly string[];
}

export interface Senders {
  readonly addresses: readonly string[];
  readonly untested: number;
  readonly patterns: readonly string[];
}

/**
 * For each connector: its addresses, the unmonitored address if it sends for it, and those of `further` that it sends for. With a return
 * path of its own, mail by SMTP has that as its sender, whatever its From.
 */
export function sendersOf(
  { connectors, systemDefaultGateway, unmonitoredAddress }: SenderConfig,
  further: readonly string[] = [],
): (connector: ConnectorConfig) => Senders {
  const table = buildRouteTable(connectors, systemDefaultGateway);
  const named = unmonitoredAddress === null ? further : [...further, unmonitoredAddress.address];
  const routed = named.map((address) => ({ address, to: resolve(table, address).connector }));
  return ({ id, addresses, bouncePath, transport }) => {
    const patterns = addresses.filter((address) => address.startsWith('*'));
    if (id === systemDefaultGateway) patterns.push('*');
    if (bouncePath !== null && transport?.kind === 'smtp') {
      return { addresses: [bouncePath.replace(idPlace, 'check')], untested: 0, patterns };
    }
    const first = routed.filter(({ to }) => to === id).map(({ address }) => routingKey(address));
    const all = [...new Set([...first, ...addresses.filter((address) => !address.startsWith('*'))])];
    return { addresses: all.slice(0, maxSenders), untested: Math.max(0, all.length - maxSenders), patterns };
  };
}

/** Something must be done about it. */
export function isBad({ result }: SenderRow): boolean {
  return result === 'refused' || result === 'unknown';
}

type SenderConfig = Pick<Config, 'connectors' | 'systemDefaultGateway' | 'unmonitoredAddress'>;

/** Those that the server has not answered for in time are `unknown`. */
export async function trySenders(
  transport: Transport,
  { addresses, untested, patterns }: Senders,
  timeoutMs: number,
  told: () => void,
): Promise<SendersReport> {
  const rows = new Map<string, SenderRow>();
  if (transport.trySenders === undefined) return { tested: [], untested: addresses.length + untested, patterns };
  const signal = AbortSignal.timeout(timeoutMs);
  const asked = transport.trySenders(addresses, signal, ({ address, result, right, reply, advice }) => {
    if (signal.aborted) return;
    const { code, enhancedCode, text } = reply;
    rows.set(address, { address, result, right, code, enhancedCode, reply: text, advice });
    told();
  });
  await Promise.race([asked, aborted(signal)]);
  const late = (address: string): SenderRow => ({
    address,
    result: 'unknown',
    right: null,
    code: 'ETIMEDOUT',
    enhancedCode: null,
    reply: null,
    advice: `no answer within ${timeoutMs} ms for all senders: give more time`,
  });
  return { tested: addresses.map((address) => rows.get(address) ?? late(address)), untested, patterns };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
