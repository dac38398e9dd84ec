/** A check of a connector with several hosts: each of them by itself, and what follows for the connector. One that works is enough. */
import type { ConnectorConfig } from '../config/config.ts';
import { authority } from '../transport/proxy.ts';
import { isBad, type SenderRow, type SendersReport } from './senders.ts';

/** What the server of a connector says, or one of its hosts. */
export interface ServerCheck {
  /** On the way to it, without its login; null: none. */
  readonly proxy: string | null;
  readonly ok: boolean;
  readonly fault: string | null;
  readonly code: string | null;
  readonly detail: string;
  readonly durationMs: number;
  /** null: the login failed, or senders were not asked for. */
  readonly senders: SendersReport | null;
}

export interface HostCheck extends ServerCheck {
  /** `host:port`. */
  readonly host: string;
}

export interface OneHost {
  readonly host: string;
  /** The connector as if it had this host alone. */
  readonly connector: ConnectorConfig;
}

/** Empty: it has one server. */
export function eachHostOf(connector: ConnectorConfig): OneHost[] {
  const { transport } = connector;
  if (transport?.kind !== 'smtp') return [];
  const { hosts = [] } = transport.smtp;
  if (hosts.length < 2) return [];
  return hosts.map(({ host, port }) => {
    const smtp = { ...transport.smtp, host, port, hosts: [] };
    return { host: authority(host, port), connector: { ...connector, transport: { ...transport, smtp } } };
  });
}

/**
 * One after the other until a login works, and then the rest at once: a login that is refused is refused everywhere, and ten of them would
 * lock the account.
 */
export async function checkHosts(
  hosts: readonly OneHost[],
  check: (connector: ConnectorConfig) => Promise<ServerCheck>,
): Promise<HostCheck[]> {
  const done: HostCheck[] = [];
  for (const [i, { host, connector }] of hosts.entries()) {
    const found = { host, ...(await check(connector)) };
    done.push(found);
    const rest = hosts.slice(i + 1);
    if (isUsable(found)) {
      const others = rest.map(async (each) => ({ host: each.host, ...(await check(each.connector)) }));
      return [...done, ...(await Promise.all(others))];
    }
    if (found.fault === 'auth') return [...done, ...rest.map((each) => notTried(each.host, found))];
  }
  return done;
}

function notTried(host: string, { host: refusing, proxy }: HostCheck): HostCheck {
  const detail = `not tried: the login was refused at ${refusing}`;
  return { host, proxy, ok: false, fault: 'auth', code: null, detail, durationMs: 0, senders: null };
}

/** The login works. */
function isUsable({ ok, fault }: ServerCheck): boolean {
  return ok || fault === 'sender';
}

/** Each sender counts as what the best host says of it. */
export function joined(hosts: readonly HostCheck[]): Pick<ServerCheck, 'ok' | 'fault' | 'code' | 'detail' | 'senders'> {
  const failing = hosts.filter(({ ok }) => !ok);
  const named = failing.map(({ host, fault }) => `${host} (${fault ?? 'failed'})`).join(', ');
  const count = `${failing.length} of ${hosts.length} hosts ${failing.length === 1 ? 'fails' : 'fail'}`;
  const detail = failing.length === 0 ? `all ${hosts.length} hosts work` : `${count}: ${named}`;
  const reports = hosts.flatMap(({ senders }) => senders ?? []);
  const [first] = reports;
  const senders =
    first === undefined ? null : { ...first, tested: first.tested.map(({ address }) => bestOf(address, reports)) };
  if (!hosts.some(isUsable)) {
    const worst = hosts.find(({ fault }) => fault === 'auth') ?? hosts[0];
    return { ok: false, fault: worst?.fault ?? null, code: worst?.code ?? null, detail, senders };
  }
  const bad = senders?.tested.find(isBad);
  return bad === undefined
    ? { ok: true, fault: null, code: null, detail, senders }
    : { ok: false, fault: 'sender', code: bad.code, detail, senders };
}

const order: readonly SenderRow['result'][] = ['ok', 'unproven', 'refused', 'unknown'];

function bestOf(address: string, reports: readonly SendersReport[]): SenderRow {
  const rows = reports.flatMap(({ tested }) => tested.filter((row) => row.address === address));
  return rows.toSorted((a, b) => order.indexOf(a.result) - order.indexOf(b.result))[0]!;
}
