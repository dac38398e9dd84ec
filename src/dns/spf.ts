/** Evaluates SPF (RFC 7208) for a domain and an address; what cannot be known without a mail, such as a macro, is said to be so. */
import { BlockList, isIP } from 'node:net';
import { asciiDomain } from '../message/address.ts';
import type { Answer, Lookup } from './lookup.ts';

export type SpfResult = 'pass' | 'fail' | 'softfail' | 'neutral' | 'none' | 'permerror' | 'temperror' | 'unknown';

export interface Spf {
  readonly result: SpfResult;
  readonly record: string | null;
  /** Terms that asked DNS. */
  readonly lookups: number;
  /** Domains whose record was included, at any depth. */
  readonly included: readonly string[];
  readonly why: string;
}

/** RFC 7208 section 4.6.4. */
const maxLookups = 10;
const maxVoid = 2;
const maxMx = 10;

class SpfEnd extends Error {
  readonly result: SpfResult;
  constructor(result: SpfResult, why: string) {
    super(why);
    this.result = result;
  }
}

interface Walk {
  readonly lookup: Lookup;
  /** null: an address that no term names; then only `all` matches. */
  readonly ip: string | null;
  lookups: number;
  voids: number;
  readonly included: Set<string>;
}

type Match = 'pass' | 'fail' | 'softfail' | 'neutral';

export async function evaluateSpf(domain: string, ip: string | null, lookup: Lookup): Promise<Spf> {
  const walk: Walk = { lookup, ip, lookups: 0, voids: 0, included: new Set() };
  const first = await recordOf(domain, lookup);
  const record = typeof first === 'string' ? first : null;
  const done = (result: SpfResult, why: string): Spf => ({
    result,
    record,
    lookups: walk.lookups,
    included: [...walk.included],
    why,
  });
  if (first === null) return done('none', `${domain} has no SPF record`);
  if (first instanceof SpfEnd) return done(first.result, first.message);
  try {
    const result = await check(domain, first, walk);
    return done(result, `the record of ${domain} says ${result}`);
  } catch (thrown) {
    if (thrown instanceof SpfEnd) return done(thrown.result, thrown.message);
    throw thrown;
  }
}

async function recordOf(domain: string, lookup: Lookup): Promise<string | SpfEnd | null> {
  const answer = await lookup.txt(domain);
  if (answer.kind === 'failed') return new SpfEnd('temperror', `DNS did not answer for ${domain} (${answer.why})`);
  const found = answer.kind === 'none' ? [] : answer.records.filter((text) => /^v=spf1(?: |$)/i.test(text));
  if (found.length > 1) return new SpfEnd('permerror', `${domain} has ${found.length} SPF records; one is allowed`);
  return found[0] ?? null;
}

/** Section 4.6: the terms in order; the first that matches decides. */
async function check(domain: string, record: string, walk: Walk): Promise<Match> {
  const terms = record
    .split(/ +/)
    .slice(1)
    .filter((term) => term !== '');
  let redirect: string | null = null;
  for (const term of terms) {
    const modifier = /^([a-z][\w.-]*)=(.*)$/i.exec(term);
    if (modifier !== null) {
      if (modifier[1]?.toLowerCase() === 'redirect') redirect = modifier[2] ?? '';
      continue;
    }
    const [, sign = '', name = '', rest = ''] = /^([+?~-]?)([a-z0-9]+)(.*)$/i.exec(term) ?? [];
    if (await matches(name.toLowerCase(), rest, domain, walk)) return qualified(sign);
  }
  if (redirect === null) return 'neutral';
  countLookup(walk, `redirect=${redirect}`);
  const target = nameOf(redirect, domain);
  walk.included.add(target);
  const next = await recordOf(target, walk.lookup);
  if (next instanceof SpfEnd) throw next;
  if (next === null) throw new SpfEnd('permerror', `redirect=${target} has no SPF record`);
  return check(target, next, walk);
}

function qualified(sign: string): Match {
  return ({ '-': 'fail', '~': 'softfail', '?': 'neutral' } as const)[sign as '-' | '~' | '?'] ?? 'pass';
}

async function matches(name: string, rest: string, domain: string, walk: Walk): Promise<boolean> {
  switch (name) {
    case 'all':
      return true;
    case 'ip4':
    case 'ip6':
      return isWithin(walk.ip, rest.replace(/^:/, ''), name);
    case 'include':
      return includes(nameOf(rest.replace(/^:/, ''), domain), walk);
    case 'a':
    case 'mx': {
      countLookup(walk, `${name}${rest}`);
      const [, target = '', four, six] =
        /^(?::([^/]+))?(?:\/(\d{1,2}))?(?:\/\/(\d{1,3}))?$/.exec(rest) ?? broken(name + rest);
      const host = target === '' ? domain : nameOf(target, domain);
      const hosts = name === 'a' ? [host] : await exchangesOf(host, walk);
      for (const each of hosts) {
        const found = countVoid(await walk.lookup.addresses(each), walk, each);
        const inside = found.some((address) =>
          isIP(address) === 4
            ? isWithin(walk.ip, `${address}/${four ?? '32'}`, 'ip4')
            : isWithin(walk.ip, `${address}/${six ?? '128'}`, 'ip6'),
        );
        if (inside) return true;
      }
      return false;
    }
    case 'exists':
      countLookup(walk, `exists${rest}`);
      if (rest.includes('%')) throw new SpfEnd('unknown', `exists${rest} depends on the mail`);
      return countVoid(await walk.lookup.addresses(nameOf(rest.replace(/^:/, ''), domain)), walk, rest).length > 0;
    case 'ptr':
      // Section 5.5 says that it should not be used, and receivers may ignore it.
      countLookup(walk, 'ptr');
      return false;
    default:
      return broken(name + rest);
  }
}

async function includes(target: string, walk: Walk): Promise<boolean> {
  countLookup(walk, `include:${target}`);
  walk.included.add(target);
  const record = await recordOf(target, walk.lookup);
  if (record instanceof SpfEnd) throw record;
  if (record === null) throw new SpfEnd('permerror', `include:${target} has no SPF record`);
  return (await check(target, record, walk)) === 'pass';
}

async function exchangesOf(host: string, walk: Walk): Promise<readonly string[]> {
  const found = countVoid(await walk.lookup.mx(host), walk, host);
  if (found.length > maxMx) throw new SpfEnd('permerror', `${host} has more than ${maxMx} MX records`);
  return found;
}

function countLookup(walk: Walk, term: string): void {
  walk.lookups += 1;
  if (walk.lookups > maxLookups)
    throw new SpfEnd('permerror', `more than ${maxLookups} lookups, at ${term.slice(0, 100)}`);
}

function countVoid(answer: Answer<string>, walk: Walk, name: string): readonly string[] {
  if (answer.kind === 'failed')
    throw new SpfEnd('temperror', `DNS did not answer for ${name.slice(0, 100)} (${answer.why})`);
  if (answer.kind === 'found') return answer.records;
  walk.voids += 1;
  if (walk.voids > maxVoid)
    throw new SpfEnd('permerror', `more than ${maxVoid} names without an address, at ${name.slice(0, 100)}`);
  return [];
}

function nameOf(text: string, domain: string): string {
  if (text.includes('%')) throw new SpfEnd('unknown', `${text.slice(0, 100)} depends on the mail`);
  const host = text.replace(/\.$/, '');
  // Labels such as _spf are no host names, and are common.
  if (asciiDomain(host.replaceAll('_', 'x')) === null) return broken(text === '' ? `an empty name at ${domain}` : text);
  return host.toLowerCase();
}

function broken(term: string): never {
  throw new SpfEnd('permerror', `the term ${term.slice(0, 100)} is not valid`);
}

function isWithin(ip: string | null, range: string, kind: 'ip4' | 'ip6'): boolean {
  const [address = '', bits] = range.split('/');
  const family = kind === 'ip4' ? 4 : 6;
  const most = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? most : Number(bits);
  const fits = isIP(address) === family && Number.isInteger(prefix) && prefix >= 0 && prefix <= most;
  if (!fits) return broken(`${kind}:${range}`);
  if (ip === null || isIP(ip) !== family) return false;
  const list = new BlockList();
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(ip, family === 4 ? 'ipv4' : 'ipv6');
}
