/** The hosts of an SMTP connector as they are written: one, or a list without repeats. */
import { isIP } from 'node:net';
import type { Path, Problem } from './issues.ts';
import { portFor, securityFor, type PartialConnector } from './partial-connector.ts';
import type { SmtpSecurity } from '../transport/smtp/settings.ts';
import { valueAt } from './validate.ts';

interface WrittenHost {
  readonly host: string;
  readonly port: number;
  readonly path: Path;
}

/** As far as they can be read. `port`: of those that have none of their own. */
export function writtenHosts(data: Readonly<Record<string, unknown>>, path: Path, port: number): WrittenHost[] {
  const [one, several] = ['host', 'hosts'].map((key) => valueAt(data, [...path, 'smtp', key]));
  if (typeof one === 'string') return [{ host: one, port, path: [...path, 'smtp', 'host'] }];
  return (Array.isArray(several) ? (several as unknown[]) : []).flatMap((each, i) => {
    const { host, port: own } = Object(each) as Readonly<Record<string, unknown>>;
    if (typeof host !== 'string') return [];
    return [{ host, port: typeof own === 'number' ? own : port, path: [...path, 'smtp', 'hosts', i] }];
  });
}

export function smtpHostProblems(data: Readonly<Record<string, unknown>>, { path, smtp }: PartialConnector): Problem[] {
  if (smtp === null) return [];
  const at: Path = [...path, 'smtp'];
  const [one, several] = ['host', 'hosts'].map((key) => valueAt(data, [...at, key]) !== undefined);
  const rule = 'smtp-host';
  if (one === true && several === true) {
    const message = 'cannot be combined with host; write that host into the list, or remove one of the two';
    return [{ path: [...at, 'hosts'], rule, message, on: 'key' }];
  }
  if (one !== true && several !== true) {
    return [{ path: [...at, 'host'], rule: 'required', message: 'is required; add it, or a list of hosts', on: 'key' }];
  }
  const hosts = writtenHosts(data, path, smtp.port ?? portFor(smtp.security));
  const seen = new Set<string>();
  const repeated = hosts.flatMap(({ host, port, path: where }) => {
    const name = `${host.toLowerCase()}:${port}`;
    const isAgain = seen.has(name);
    seen.add(name);
    const message = 'is the same host and port as one above; remove it';
    return isAgain ? [{ path: where, rule, message, on: 'value' } as const] : [];
  });
  const isChosen = valueAt(data, [...at, 'security']) !== undefined;
  return [...repeated, ...(isChosen ? [] : otherSecurity(hosts, smtp.security)), ...otherFamily(data, at, hosts)];
}

/** Without `security`, the port of the connector chooses one for all hosts. */
function otherSecurity(hosts: readonly WrittenHost[], security: SmtpSecurity): Problem[] {
  const found = hosts.find(({ port }) => securityFor(port) !== security);
  if (found === undefined) return [];
  const message = `begins TLS in another way than security: ${security}, which is the default here; set smtp.security, which holds for all hosts`;
  return [{ path: [...found.path, 'port'], rule: 'smtp-host-security', message, on: 'value' }];
}

function otherFamily(data: Readonly<Record<string, unknown>>, at: Path, hosts: readonly WrittenHost[]): Problem[] {
  const from = valueAt(data, [...at, 'localAddress']);
  const family = typeof from === 'string' ? isIP(from) : 0;
  if (family === 0) return [];
  const unfit = hosts.filter(({ host }) => isIP(host) !== 0 && isIP(host) !== family);
  const message = `cannot be reached from smtp.localAddress, which is an IPv${family} address; remove one of the two`;
  return unfit.map(({ path }) => ({ path, rule: 'local-address-family', message, on: 'value' }));
}
