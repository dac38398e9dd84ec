/** Finds the DMARC policy of a domain, and whether another domain is aligned with it (RFC 7489, and the tree walk of its successor). */
import { tagsOf } from './dkim.ts';
import type { Lookup } from './lookup.ts';

export interface Dmarc {
  readonly result: 'found' | 'none' | 'invalid' | 'temperror';
  /** Where the record is: the domain itself, or one above it. */
  readonly domain: string | null;
  readonly policy: 'none' | 'quarantine' | 'reject' | null;
  /** The organizational domain: the highest domain above with a record, or the domain itself. */
  readonly organization: string;
  readonly strict: { readonly spf: boolean; readonly dkim: boolean };
  readonly why: string;
}

/** The walk of DMARCbis asks for eight names at most. */
const maxNames = 8;
const policies = ['none', 'quarantine', 'reject'] as const;

export async function findDmarc(domain: string, lookup: Lookup): Promise<Dmarc> {
  const labels = domain.split('.');
  const above = labels.slice(0, -1).map((_, i) => labels.slice(i).join('.'));
  const names = above.length <= maxNames ? above : [above[0]!, ...above.slice(1 - maxNames)];
  const nothing = { domain: null, policy: null, organization: domain, strict: { spf: false, dkim: false } };
  let found: { readonly name: string; readonly tags: ReadonlyMap<string, string> } | null = null;
  let organization = domain;
  for (const name of names) {
    const answer = await lookup.txt(`_dmarc.${name}`);
    if (answer.kind === 'failed') {
      return { ...nothing, result: 'temperror', why: `DNS did not answer for _dmarc.${name} (${answer.why})` };
    }
    const records = answer.kind === 'none' ? [] : answer.records.filter((text) => /^v=DMARC1\s*(?:;|$)/.test(text));
    // RFC 7489 section 6.6.3: several are as none.
    if (records.length !== 1) continue;
    found ??= { name, tags: tagsOf(records[0]!) };
    organization = name;
  }
  if (found === null) return { ...nothing, result: 'none', why: `${domain} has no DMARC record` };
  const { name, tags } = found;
  const own = tags.get('p');
  const written = name === domain ? own : (tags.get('sp') ?? own);
  const policy = policies.find((each) => each === written?.toLowerCase()) ?? null;
  const strict = { spf: tags.get('aspf') === 's', dkim: tags.get('adkim') === 's' };
  const about = { domain: name, organization, strict };
  if (policy === null) return { ...about, result: 'invalid', policy, why: `_dmarc.${name} has no valid policy` };
  return { ...about, result: 'found', policy, why: `_dmarc.${name} asks for ${policy}` };
}

/** `domain` is that of the envelope or of the signature. */
export function isAligned(domain: string, from: string, { organization }: Dmarc, isStrict: boolean): boolean {
  if (domain === from) return true;
  if (isStrict) return false;
  const within = (name: string): boolean => name === organization || name.endsWith(`.${organization}`);
  return within(domain) && within(from);
}
