/**
 * Finds the DMARC policy of a domain and its organizational domain by the tree walk of RFC 9989 section 4.10, and whether another domain is
 * aligned with it. The walk needs no list of public suffixes: a suffix says `psd=y` in its record. A receiver that still uses the list
 * (RFC 7489) comes to the same, unless a suffix has a record without `psd=y`.
 */
import { tagsOf } from './dkim.ts';
import type { Lookup } from './lookup.ts';

export interface Dmarc {
  readonly result: 'found' | 'none' | 'invalid' | 'temperror';
  /** Where the record is: the domain itself, or one above it. */
  readonly domain: string | null;
  readonly policy: 'none' | 'quarantine' | 'reject' | null;
  readonly organization: string;
  readonly strict: { readonly spf: boolean; readonly dkim: boolean };
  readonly why: string;
}

/** Below the domain itself, the walk begins with so many labels. */
const maxLabels = 7;
const policies = ['none', 'quarantine', 'reject'] as const;

interface Found {
  readonly name: string;
  readonly tags: ReadonlyMap<string, string>;
}

interface Walk {
  /** From the domain upwards. */
  readonly found: readonly Found[];
  /** Why DNS did not answer; then the walk has ended there. */
  readonly failure: string | null;
}

/** Up to eight questions. */
async function walk(domain: string, lookup: Lookup): Promise<Walk> {
  const labels = domain.split('.');
  const above = labels.slice(1).map((_, i) => labels.slice(i + 1).join('.'));
  const found: Found[] = [];
  for (const name of [domain, ...above.slice(-maxLabels)]) {
    const answer = await lookup.txt(`_dmarc.${name}`);
    if (answer.kind === 'failed') return { found, failure: `DNS did not answer for _dmarc.${name} (${answer.why})` };
    const records = answer.kind === 'none' ? [] : answer.records.filter((text) => /^v=DMARC1\s*(?:;|$)/.test(text));
    // Several are as none.
    if (records.length !== 1) continue;
    const tags = tagsOf(records[0]!);
    found.push({ name, tags });
    const psd = tags.get('psd');
    if (psd === 'n' || (psd === 'y' && name !== domain)) break;
  }
  return { found, failure: null };
}

/** The domain below a suffix, or the highest one with a record, or the domain itself. */
function organizationIn(domain: string, found: readonly Found[]): string {
  const last = found.at(-1);
  if (last === undefined) return domain;
  if (last.tags.get('psd') !== 'y' || last.name === domain) return last.name;
  const labels = domain.split('.');
  return labels.slice(labels.length - last.name.split('.').length - 1).join('.');
}

/** The domain itself as well where DNS does not answer. */
export async function organizationOf(domain: string, lookup: Lookup): Promise<string> {
  return organizationIn(domain, (await walk(domain, lookup)).found);
}

/** The record of the domain counts, or that of its organization, or that of the suffix above; none between them. */
export async function findDmarc(domain: string, lookup: Lookup): Promise<Dmarc> {
  const { found, failure } = await walk(domain, lookup);
  const organization = organizationIn(domain, found);
  const at = (name: string): Found | undefined => found.find((each) => each.name === name);
  const record = at(domain) ?? at(organization) ?? found.at(-1);
  if (record === undefined) {
    const nothing = { domain: null, policy: null, organization, strict: { spf: false, dkim: false } };
    return failure === null
      ? { ...nothing, result: 'none', why: `${domain} has no DMARC record` }
      : { ...nothing, result: 'temperror', why: failure };
  }
  const { name, tags } = record;
  // RFC 9989: a record without `p` counts as `p=none`. Receivers by RFC 7489 take no notice of it, which comes to the same.
  const own = tags.get('p') ?? 'none';
  const written = name === domain ? own : (tags.get('sp') ?? own);
  const policy = policies.find((each) => each === written.toLowerCase()) ?? null;
  const strict = { spf: tags.get('aspf') === 's', dkim: tags.get('adkim') === 's' };
  const about = { domain: name, organization, strict };
  if (policy === null) return { ...about, result: 'invalid', policy, why: `_dmarc.${name} has no valid policy` };
  return { ...about, result: 'found', policy, why: `_dmarc.${name} asks for ${policy}` };
}

/** `domain`: of the envelope or of the signature, with its own organizational domain. */
export function isAligned(
  domain: string,
  organization: string,
  from: string,
  dmarc: Dmarc,
  isStrict: boolean,
): boolean {
  return domain === from || (!isStrict && organization === dmarc.organization);
}
