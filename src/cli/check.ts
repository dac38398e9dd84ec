/** `check`: validates the configuration, and with --connect reaches Redis and every connector and asks for its senders. Sends nothing. */
import type { Command } from 'commander';
import { asError } from '../errors.ts';
import { formatIssues } from '../config/issues.ts';
import type { Config } from '../config/config.ts';
import type { DurabilityWarning } from '../queue/redis/durability.ts';
import { eachBounded } from '../async/bounded.ts';
import type { Action, Call } from './command.ts';
import { noteDelivery } from './delivery.ts';
import { countMistakes, load, redisTimeoutMs } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { proxiesOf, proxyLines } from './proxies.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';
import type { DnsReport } from '../dns/check.ts';
import { checkConnector, type ConnectorCheck } from '../embed/check-connector.ts';
import { loadTransports } from '../embed/transports.ts';
import type { MailboxCheck } from '../bounces/check.ts';
import { senderLines } from './check-senders.ts';
import { sendersOf } from '../embed/senders.ts';
import { collectAddress, durationOption, parseDnsServer, type DnsServerOption } from './values.ts';

interface CheckOptions {
  readonly connect?: boolean;
  readonly from?: readonly string[];
  readonly dns?: boolean;
  readonly dnsServer?: DnsServerOption;
  readonly timeout: number;
}

/** Fast enough for hundreds of connectors, and not an attack on one server that many of them share. */
const atOnce = 10;

export function addCheck(program: Command, action: Action): void {
  program
    .command('check')
    .description('validate the configuration and show every mistake with its file, line and rule')
    .option('--connect', 'also reach Redis, log in to every connector and mailbox, and ask whether each From may send')
    .option(
      '--from <address>',
      'with --connect: also ask for this From, at the connector that sends for it (repeatable)',
      collectAddress,
    )
    .option('--dns', 'also look at SPF, DKIM and DMARC of every domain that mail is sent from')
    .option(
      '--dns-server <host:port>',
      'with --dns: the DNS server to ask (default: those of the system)',
      parseDnsServer,
    )
    .addOption(
      durationOption(
        '--timeout <duration>',
        'how long a login may take, all senders of a connector, and all of DNS',
        '30s',
      ),
    )
    .action(action<CheckOptions>((call, options) => check(call, options)));
}

async function check(call: Call, options: CheckOptions): Promise<ExitCode> {
  const { connect = false, from = [], dns: wantsDns = false, dnsServer = null, timeout: timeoutMs } = options;
  const { terminal } = call;
  const loaded = await load(call, call.configFile);
  const { file, warnings } = loaded;
  if (!loaded.ok) {
    const { issues } = loaded;
    terminal.result({ ok: false, file, issues, warnings }, () => formatIssues([...issues, ...warnings]));
    terminal.note(countMistakes(file, issues.length));
    return 2;
  }
  const { connectors } = loaded.config;
  const summary = `${file}: valid, ${connectors.length} ${connectors.length === 1 ? 'connector' : 'connectors'}`;
  const warned = warnings.length === 0 ? '' : `, ${warnings.length} ${warnings.length === 1 ? 'warning' : 'warnings'}`;
  noteDelivery(loaded.config, terminal);
  const proxies = proxiesOf(loaded.config);
  const webhooks = loaded.config.webhooks.map(({ id }) => id);
  const found = wantsDns ? await lookAtDns(loaded.config, dnsServer, timeoutMs, terminal) : null;
  const dns = found === null ? {} : { dns: found.report };
  const dnsOk = found?.report.rows.every((row) => row.ok) ?? true;
  if (!connect) {
    terminal.result({ ok: dnsOk, file, issues: [], warnings, proxies, ...dns }, () => [
      ...formatIssues(warnings),
      summary + warned,
      ...proxyLines(proxies, webhooks),
      ...(found?.lines ?? []),
    ]);
    return dnsOk ? 0 : 1;
  }

  const redis = await checkRedis(loaded.config);
  const rows = await checkConnectors(loaded.config, from, timeoutMs, terminal.progress);
  const mailboxes = await checkAllMailboxes(loaded.config, timeoutMs);
  const ok = dnsOk && redis.ok && rows.every((row) => row.ok) && mailboxes.every((row) => row.ok);
  terminal.result({ ok, file, issues: [], warnings, proxies, redis, connectors: rows, mailboxes, ...dns }, () => [
    ...formatIssues(warnings),
    summary + warned,
    ...proxyLines(proxies, webhooks),
    ...redis.warnings.map(({ detail }) => `Redis: ${detail}`),
    '',
    ...table(
      [
        { connector: 'redis', transport: 'redis', fault: null, code: null, ...redis },
        ...rows.flatMap((row) => [row, ...hostRows(row)]),
        ...mailboxes.map((row) => ({ ...row, transport: `mailbox by ${row.protocol}`, code: null })),
      ],
      [
        { title: 'CONNECTOR', cell: (row) => (row.transport === 'redis' ? '(Redis)' : row.connector) },
        { title: 'BY', cell: (row) => row.transport },
        { title: 'RESULT', cell: resultOf },
        { title: 'MS', align: 'right', cell: (row) => row.durationMs },
        { title: 'CODE', cell: (row) => row.code },
        { title: 'DETAIL', cell: (row) => row.detail },
      ],
      terminal.bold,
    ),
    ...senderLines(rows, terminal),
    ...(found?.lines ?? []),
  ]);
  return ok ? 0 : 1;
}

/** Hosts stand below their connector. */
function hostRows({ connector, transport, hosts }: ConnectorCheck) {
  return hosts.map((row) => ({ ...row, connector: `${connector} at ${row.host}`, transport }));
}

function resultOf(row: {
  readonly ok: boolean;
  readonly fault: string | null;
  readonly hosts?: readonly { readonly ok: boolean }[];
}): string {
  if (!row.ok) return row.fault ?? 'failed';
  return row.hosts?.every(({ ok }) => ok) === false ? 'warning' : 'ok';
}

async function lookAtDns(
  config: Config,
  server: DnsServerOption | null,
  timeoutMs: number,
  terminal: Terminal,
): Promise<{ readonly report: DnsReport; readonly lines: readonly string[] }> {
  const { dnsLines, runDnsCheck } = await import('./check-dns.ts');
  const report = await runDnsCheck(config, server, timeoutMs, terminal);
  return { report, lines: dnsLines(report, terminal) };
}

interface RedisCheck {
  readonly ok: boolean;
  readonly detail: string;
  readonly durationMs: number;
  readonly warnings: readonly DurabilityWarning[];
}

async function checkRedis({ redis: settings }: Config): Promise<RedisCheck> {
  const { connectFailFast, whenReady } = await import('../queue/redis/connection.ts');
  const { durabilityWarnings } = await import('../queue/redis/durability.ts');
  const startedAt = performance.now();
  const redis = connectFailFast(settings, redisTimeoutMs, 'postlane-check');
  redis.on('error', () => undefined);
  const took = (): number => Math.round(performance.now() - startedAt);
  try {
    await whenReady(redis, redisTimeoutMs);
    await redis.ping();
    const durationMs = took();
    return { ok: true, detail: 'reached', durationMs, warnings: await durabilityWarnings(redis) };
  } catch (thrown) {
    return { ok: false, detail: asError(thrown).message, durationMs: took(), warnings: [] };
  } finally {
    redis.disconnect();
  }
}

async function checkConnectors(
  config: Config,
  further: readonly string[],
  timeoutMs: number,
  progress: (text: string) => void,
): Promise<ConnectorCheck[]> {
  const { connectors, hostname } = config;
  const build = await loadTransports(connectors);
  const wanted = sendersOf(config, further);
  let [done, senders] = [0, 0];
  const show = (): void => progress(`checked ${done} of ${connectors.length} connectors, ${senders} senders`);
  const rows = await eachBounded(connectors, atOnce, async (connector) => {
    const told = (): void => {
      senders += 1;
      show();
    };
    const row = await checkConnector(connector, { build, hostname, timeoutMs, senders: wanted(connector), told });
    done += 1;
    show();
    return row === null ? [] : [row];
  });
  progress('');
  return rows.flat();
}

/** Loads the readers only where a mailbox is read. */
async function checkAllMailboxes({ connectors }: Config, timeoutMs: number): Promise<MailboxCheck[]> {
  const read = connectors.filter(({ bounces }) => bounces.length > 0);
  if (read.length === 0) return [];
  const { checkMailboxes } = await import('../bounces/check.ts');
  const rows = await eachBounded(read, atOnce, (connector) => checkMailboxes(connector, timeoutMs, Date.now));
  return rows.flat();
}
