/** What a receiver would conclude of a connector's mail from SPF, DKIM and DMARC: one row for each connector and domain of its From addresses. */
import { eachBounded } from '../async/bounded.ts';
import type { Config, ConnectorConfig } from '../config/config.ts';
import { sends } from '../routing/connector.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import { checkDkim, checkMicrosoftDkim, type DkimCheck } from './dkim.ts';
import { findDmarc, isAligned, type Dmarc } from './dmarc.ts';
import { createLookup, type Lookup } from './lookup.ts';
import { isMicrosoft, sendingHostOf, type SendingHost } from './senders.ts';
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
  const [found, signed] = await Promise.all([spfOf(envelope, host, lookup), dkimOf(connector, domain, lookup)]);
  const spf = { ...found, domain: envelope, aligned: isAligned(envelope, domain, dmarc, dmarc.strict.spf) };
  const dkim = {
    ...signed,
    aligned: signed.domain !== null && isAligned(signed.domain, domain, dmarc, dmarc.strict.dkim),
  };
  const conclusion = conclude(spf, dkim);
  const advice = adviceOf({ spf, dkim, dmarc, host, conclusion, isSigned: connector.dkim !== null });
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
async function spfOf(domain: string, host: SendingHost, lookup: Lookup): Promise<Spf> {
  if (host.kind === 'addresses') {
    const results = await Promise.all(host.addresses.slice(0, 8).map((ip) => evaluateSpf(domain, ip, lookup)));
    return results.find(({ result }) => result !== 'pass') ?? results[0]!;
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
  readonly host: SendingHost;
  readonly isSigned: boolean;
}

function adviceOf({ spf, dkim, dmarc, host, conclusion, isSigned }: Found): string[] {
  const advice: string[] = [];
  if (spf.result === 'none') advice.push(`SPF: add a TXT record "v=spf1 ${termOf(host)} -all" to ${spf.domain}`);
  else if (spf.result !== 'pass' && spf.result !== 'unknown') {
    const term = ['permerror', 'temperror'].includes(spf.result) ? '' : `; add ${termOf(host)}`;
    advice.push(`SPF: ${spf.why}${term}`);
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

function termOf(host: SendingHost): string {
  switch (host.kind) {
    case 'provider':
      return `include:${host.includes[0]}`;
    case 'addresses':
      return host.addresses
        .slice(0, 3)
        .map((ip) => `${ip.includes(':') ? 'ip6' : 'ip4'}:${ip}`)
        .join(' ');
    case 'unknown':
      return 'the addresses of your relay';
    default:
      return host satisfies never;
  }
}
