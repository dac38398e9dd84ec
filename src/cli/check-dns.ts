/** `check --dns`: where DNS is asked, and what is printed of SPF, DKIM and DMARC. Loaded only then. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { Config } from '../config/config.ts';
import { checkDns, type DnsReport, type DnsRow } from '../dns/check.ts';
import { printable } from '../errors.ts';
import { UsageError } from './failure.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';
import type { DnsServerOption } from './values.ts';

export async function runDnsCheck(
  config: Config,
  server: DnsServerOption | null,
  timeoutMs: number,
  { progress }: Terminal,
): Promise<DnsReport> {
  const told = (done: number, of: number): void => progress(`looked up ${done} of ${of} domains`);
  const report = await checkDns(config, { server: server === null ? null : await addressOf(server), timeoutMs, told });
  progress('');
  return report;
}

/** The resolver takes addresses alone. */
async function addressOf({ host, port }: DnsServerOption): Promise<string> {
  const address = isIP(host) !== 0 ? host : await numberOf(host);
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

async function numberOf(host: string): Promise<string> {
  try {
    return (await lookup(host)).address;
  } catch {
    throw new UsageError(`--dns-server: "${printable(host, 80)}" has no address`);
  }
}

export function dnsLines({ rows, untested }: DnsReport, { bold }: Pick<Terminal, 'bold'>): string[] {
  if (rows.length === 0) return ['', 'DNS: no connector has a domain to look at.'];
  const advice = rows.flatMap((row) =>
    row.advice.map((text) => `  ${row.connector} ${row.domain}: ${printable(text, 500)}`),
  );
  return [
    '',
    ...table(
      rows,
      [
        { title: 'CONNECTOR', cell: ({ connector }: DnsRow) => connector },
        { title: 'DOMAIN', cell: ({ domain }) => domain },
        { title: 'SPF', cell: ({ spf }) => `${spf.result}${spf.aligned ? '' : ', not aligned'}` },
        {
          title: 'DKIM',
          cell: ({ dkim }) => `${dkim.result}${dkim.domain === null || dkim.aligned ? '' : ', not aligned'}`,
        },
        { title: 'DMARC', cell: ({ dmarc }) => dmarc.policy ?? dmarc.result },
        { title: 'A RECEIVER', cell: wordsOf },
      ],
      bold,
    ),
    ...(advice.length === 0 ? [] : ['', ...advice]),
    ...(untested === 0 ? [] : [`${untested} further domains were not looked at.`]),
  ];
}

function wordsOf({ conclusion, dmarc }: DnsRow): string {
  switch (conclusion) {
    case 'pass':
      return 'accepts it as authentic';
    case 'unknown':
      return 'depends on what the server signs and from where it sends';
    case 'fail':
      return { reject: 'rejects it', quarantine: 'takes it for spam', none: 'cannot tell it from a forgery' }[
        dmarc.policy ?? 'none'
      ];
    default:
      return conclusion satisfies never;
  }
}
