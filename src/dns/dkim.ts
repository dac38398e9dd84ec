/** Whether the key that a connector signs with is the one that DNS publishes (RFC 6376 section 3.6.1). */
import { createPublicKey } from 'node:crypto';
import type { DkimSettings } from '../message/dkim.ts';
import type { Lookup } from './lookup.ts';

type DkimResult = 'ok' | 'missing' | 'mismatch' | 'revoked' | 'invalid' | 'temperror' | 'unknown';

export interface DkimCheck {
  readonly result: DkimResult;
  /** `SELECTOR._domainkey.DOMAIN`; null where no key is known. */
  readonly name: string | null;
  readonly domain: string | null;
  readonly why: string;
}

export async function checkDkim({ domain, selector, privateKey }: DkimSettings, lookup: Lookup): Promise<DkimCheck> {
  const name = `${selector}._domainkey.${domain}`;
  const found = await keyAt(name, lookup);
  const about = { name, domain };
  if ('result' in found) return { ...about, ...found };
  const own = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const published = derOf(found.key);
  if (published === null) return { ...about, result: 'invalid', why: `the key at ${name} cannot be read` };
  return own.equals(published)
    ? { ...about, result: 'ok', why: `the key at ${name} is that of smtp.dkim` }
    : { ...about, result: 'mismatch', why: `the key at ${name} is not that of smtp.dkim` };
}

/** What Exchange Online signs with once DKIM is enabled for a domain: https://learn.microsoft.com/defender-office-365/email-authentication-dkim-configure. */
const microsoftSelectors = ['selector1', 'selector2'];

export async function checkMicrosoftDkim(domain: string, lookup: Lookup): Promise<DkimCheck> {
  for (const selector of microsoftSelectors) {
    const name = `${selector}._domainkey.${domain}`;
    const found = await keyAt(name, lookup);
    if (!('result' in found)) return { result: 'ok', name, domain, why: `Microsoft's key is at ${name}` };
    if (found.result === 'temperror') return { ...found, name, domain };
  }
  const names = microsoftSelectors.map((selector) => `${selector}._domainkey`).join(' and ');
  const why = `no key of Microsoft at ${names}: mail is signed for onmicrosoft.com alone`;
  return { result: 'missing', name: `${microsoftSelectors[0]}._domainkey.${domain}`, domain, why };
}

async function keyAt(name: string, lookup: Lookup): Promise<{ key: string } | { result: DkimResult; why: string }> {
  const answer = await lookup.txt(name);
  if (answer.kind === 'failed') return { result: 'temperror', why: `DNS did not answer for ${name} (${answer.why})` };
  if (answer.kind === 'none') return { result: 'missing', why: `no key at ${name}` };
  const keys = answer.records.map(tagsOf).filter((tags) => tags.has('p') && (tags.get('v') ?? 'DKIM1') === 'DKIM1');
  const [key] = keys;
  if (key === undefined) return { result: 'invalid', why: `no DKIM key in the record at ${name}` };
  if (keys.length > 1) return { result: 'invalid', why: `${keys.length} keys at ${name}; one is allowed` };
  if ((key.get('k') ?? 'rsa') !== 'rsa') return { result: 'mismatch', why: `the key at ${name} is no RSA key` };
  const value = key.get('p') ?? '';
  return value === '' ? { result: 'revoked', why: `the key at ${name} is revoked` } : { key: value };
}

/** `a=b; c=d` (section 3.2); blanks in a value do not count. The first of a name counts. */
export function tagsOf(text: string): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  for (const part of text.split(';').slice(0, 50)) {
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0)).trim();
    if (at > 0 && !tags.has(name)) tags.set(name, part.slice(at + 1).replaceAll(/\s+/g, ''));
  }
  return tags;
}

/** Published as SubjectPublicKeyInfo, or, by some, as the bare RSAPublicKey. */
function derOf(base64: string): Buffer | null {
  const der = Buffer.from(base64, 'base64');
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      return createPublicKey({ key: der, format: 'der', type }).export({ format: 'der', type: 'spki' });
    } catch {
      continue;
    }
  }
  return null;
}
