/** What a receiver would conclude of a connector's mail from SPF, DKIM and DMARC: one row for each connector and domain of its From addresses. */
import { eachBounded } from '../async/bounded.ts';
import type { Config, ConnectorConfig } from '../config/config.ts';
import { sends } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import { checkDkim, checkMicrosoftDkim, type DkimCheck } from './dkim.ts';
import { findDmarc, isAligned, organizationOf, type Dmarc } from './dmarc.ts';
import { createLookup, type Lookup } from './lookup.ts';
import { isMicrosoft, isOwn, sendingHostOf, type SendingHost } from './senders.ts';
import { evaluateSpf, type Spf, type SpfResult } from './spf.ts';

export interface DnsRow {
  readonly connector: string;
  readonly domain: string;
  /** Of the envelope: the return path's where the connector has one. */
  readonly spf: Spf & { readonly domain: string; readonly aligned: boolean };
  readonly dkim: DkimCheck & { readonly aligned: boolean };
  readonly dmarc: Dmarc;
  /** `pass`: SPF or DKIM passes and is aligned. `fail`: neither can. `unknown`: DNS and the configuration do not tell. */
  readonly conclusion: 'pass' | 'fail' | 'unknown';
  /** What follows at a receiver, and what to do. */
  readonly advice: readonly string[];
  /** Whether something must be repaired. */
  readonly ok: boolean;
}

export interface DnsReport {
  readonly rows: readonly DnsRow[];
  /** Domains beyond the bound, over all connectors. */
  readonly untested: number;
}

export interface DnsOptions {
  readonly server: string | null;
  readonly timeoutMs: number;
  readonly told?: (done: number, of: number) => void;
}

/** Domains of a connector. */
const maxDomains = 50;
const atOnce = 8;

export async function checkDns(config: Config, { server, timeoutMs, told }: DnsOptions): Promise<DnsReport> {
  const lookup = createLookup({ server, signal: AbortSignal.timeout(timeoutMs) });
  const table = buildRouteTable(config.connectors, config.systemDefaultGateway);
  const unmonitored = config.unmonitoredAddress?.address ?? null;
  const sender = unmonitored === null ? null : resolve(table, unmonitored).connector;
  const wanted = config.connectors
    .filter(({ direction }) => sends(direction))
    .map((connector) => {
      const addresses = connector.id === sender && unmonitored !== null ? [unmonitored] : [];
      return { connector, domains: [...new Set([...connector.addresses, ...addresses].map(domainOf))] };
    });
  const pairs = wanted.flatMap(({ connector, domains }) =>
    domains.slice(0, maxDomains).map((domain) => ({ connector, domain })),
  );
  let done = 0;
  const rows = await eachBounded(pairs, atOnce, async ({ connector, domain }) => {
    const row = await rowOf(connector, domain, lookup);
    done += 1;
    told?.(done, pairs.length);
    return row;
  });
  return { rows, untested: wanted.reduce((sum, { domains }) => sum + Math.max(0, domains.length - maxDomains), 0) };
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}

async function rowOf(connector: ConnectorConfig, domain: string, lookup: Lookup): Promise<DnsRow> {
  const { id, bouncePath, transport } = connector;
  const envelope = bouncePath !== null && transport?.kind === 'smtp' ? domainOf(bouncePath) : domain;
  const [host, dmarc] = await Promise.all([sendingHostOf(connector, lookup), findDmarc(domain, lookup)]);
  const own = isOwn(host, dmarc.organization);
  const [found, signed] = await Promise.all([spfOf(envelope, host, own, lookup), dkimOf(connector, domain, lookup)]);
  const aligned = async (other: string, isStrict: boolean): Promise<boolean> =>
    isAligned(other, await organizationOf(other, lookup), domain, dmarc, isStrict);
  const spf = { ...found, domain: envelope, aligned: await aligned(envelope, dmarc.strict.spf) };
  const dkim = { ...signed, aligned: signed.domain !== null && (await aligned(signed.domain, dmarc.strict.dkim)) };
  const conclusion = conclude(spf, dkim);
  const advice = adviceOf({ domain, spf, dkim, dmarc, host, own, conclusion, isSigned: connector.dkim !== null });
  const enforced = dmarc.policy === 'quarantine' || dmarc.policy === 'reject';
  const broken =
    faulty.has(spf.result) || (connector.dkim !== null && dkim.result !== 'ok') || dmarc.result === 'invalid';
  return {
    connector: id,
    domain,
    spf,
    dkim,
    dmarc,
    conclusion,
    advice,
    ok: !broken && !(conclusion === 'fail' && enforced),
  };
}

const faulty: ReadonlySet<SpfResult> = new Set(['permerror', 'temperror']);

/** A provider's address is none that we know; its own record is, so it must be among those that are included. */
async function spfOf(domain: string, host: SendingHost, own: boolean, lookup: Lookup): Promise<Spf> {
  if (host.kind === 'addresses') {
    const results = await Promise.all(host.addresses.slice(0, 8).map((ip) => evaluateSpf(domain, ip, lookup)));
    const worst = results.find(({ result }) => result !== 'pass') ?? results[0]!;
    if (own || worst.result === 'pass' || worst.result === 'none' || faulty.has(worst.result)) return worst;
    const names = host.hosts.join(', ');
    const why = `the record of ${domain} does not permit ${names} itself; whether it sends from other addresses is not known here`;
    return { ...worst, result: 'unknown', why };
  }
  const found = await evaluateSpf(domain, null, lookup);
  if (faulty.has(found.result) || found.result === 'none') return found;
  if (host.kind === 'unknown') return { ...found, result: 'unknown', why: host.why };
  const included = host.includes.find((name) => found.included.includes(name));
  return included === undefined
    ? { ...found, why: `the record of ${domain} does not include ${host.includes[0]}, by which ${host.name} sends` }
    : { ...found, result: 'pass', why: `the record of ${domain} includes ${included}` };
}

async function dkimOf(connector: ConnectorConfig, domain: string, lookup: Lookup): Promise<DkimCheck> {
  if (connector.dkim !== null) return checkDkim(connector.dkim, lookup);
  const microsoft = isMicrosoft(connector);
  if (microsoft === 'yes') return checkMicrosoftDkim(domain, lookup);
  const why =
    microsoft === 'some'
      ? 'Exchange Online signs, and whether the other hosts do is not known here'
      : 'smtp.dkim is not set; whether the server signs is not known here';
  return { result: 'unknown', name: null, domain: null, why };
}

function conclude(spf: DnsRow['spf'], dkim: DnsRow['dkim']): DnsRow['conclusion'] {
  if ((spf.result === 'pass' && spf.aligned) || (dkim.result === 'ok' && dkim.aligned)) return 'pass';
  const open = (spf.aligned && (spf.result === 'unknown' || spf.result === 'temperror')) || dkim.result === 'unknown';
  return open || dkim.result === 'temperror' ? 'unknown' : 'fail';
}

interface Found extends Pick<DnsRow, 'spf' | 'dkim' | 'dmarc' | 'conclusion'> {
  /** Of the From. */
  readonly domain: string;
  readonly host: SendingHost;
  /** The server is of the domain's own organization. */
  readonly own: boolean;
  readonly isSigned: boolean;
}

function adviceOf({ domain, spf, dkim, dmarc, host, own, conclusion, isSigned }: Found): string[] {
  const advice: string[] = [];
  const term = termOf(host, own);
  const ask = `ask ${operatorOf(host)} for the SPF include or the addresses by which it sends`;
  if (spf.result === 'none') {
    advice.push(
      term === null
        ? `SPF: ${spf.domain} has no record; ${ask}, and publish them in a TXT record that begins with v=spf1`
        : `SPF: add a TXT record "v=spf1 ${term} -all" to ${spf.domain}`,
    );
  } else if (spf.result === 'unknown') {
    if (term === null && conclusion !== 'pass') advice.push(`SPF: ${spf.why}: ${ask}`);
  } else if (spf.result !== 'pass') {
    advice.push(`SPF: ${spf.why}${faulty.has(spf.result) || term === null ? '' : `; add ${term}`}`);
  }
  if (dkim.result === 'unknown' && conclusion !== 'pass') {
    advice.push(`DKIM: ask ${operatorOf(host)} whether it signs for ${domain}, or set smtp.dkim`);
  }
  if (spf.result === 'pass' && !spf.aligned) {
    advice.push(`SPF passes for ${spf.domain}, which is not aligned with the From and does not count for DMARC`);
  }
  if (isSigned && dkim.result !== 'ok') advice.push(`DKIM: ${dkim.why}: publish the public part of smtp.dkim.key`);
  else if (dkim.result === 'missing' || dkim.result === 'revoked') advice.push(`DKIM: ${dkim.why}`);
  if (dkim.result === 'ok' && !dkim.aligned) {
    advice.push(`DKIM: the signature is of ${dkim.domain}, which is not aligned with the From`);
  }
  if (dmarc.result === 'none') advice.push(`DMARC: ${dmarc.why}: large receivers ask for one (v=DMARC1; p=none)`);
  else if (dmarc.result !== 'found') advice.push(`DMARC: ${dmarc.why}`);
  if (conclusion === 'fail' && dmarc.policy === 'reject') advice.push('receivers reject this mail');
  if (conclusion === 'fail' && dmarc.policy === 'quarantine')
    advice.push('receivers put this mail into the spam folder');
  return advice;
}

/** What to add to a record; null: only the operator of the server knows. */
function termOf(host: SendingHost, own: boolean): string | null {
  if (host.kind === 'provider') return `include:${host.includes[0]}`;
  if (host.kind === 'unknown' || !own) return null;
  const terms = host.addresses.slice(0, 3).map((ip) => `${ip.includes(':') ? 'ip6' : 'ip4'}:${ip}`);
  return terms.join(' ');
}

function operatorOf(host: SendingHost): string {
  switch (host.kind) {
    case 'provider':
      return host.name;
    case 'addresses':
      return `the operator of ${host.hosts.join(', ')}`;
    case 'unknown':
      return 'the operator of the relay';
    default:
      return host satisfies never;
  }
}
