/** The policy of a domain and its organizational domain by the tree walk of RFC 9989, at public suffixes, too; and who is aligned with it. */
import { expect, onTestFinished, test } from 'vitest';
import { findDmarc, isAligned, organizationOf } from '../../src/dns/dmarc.ts';
import { createLookup } from '../../src/dns/lookup.ts';
import { startDnsServer, type DnsRecord } from '../../testkit/dns.ts';

async function dnsWith(records: Readonly<Record<string, string>>) {
  const table = Object.entries(records).map(([name, text]): [string, DnsRecord[]] => [
    `_dmarc.${name}`,
    [text === 'SERVFAIL' ? { fault: 'servfail' } : { txt: `v=DMARC1; ${text}` }],
  ]);
  const server = await startDnsServer(Object.fromEntries(table));
  onTestFinished(() => server.stop());
  const lookup = createLookup({ server: server.address, signal: AbortSignal.timeout(20_000) });
  return { server, lookup, of: (domain: string) => findDmarc(domain, lookup) };
}

test.each<[string, Readonly<Record<string, string>>, object]>([
  [
    'of its own, and its organization is the highest domain with one',
    { 'news.example.com': 'p=none', 'example.com': 'p=reject' },
    { policy: 'none', domain: 'news.example.com', organization: 'example.com' },
  ],
  [
    'of the organizational domain and not of one between',
    { 'b.example.com': 'p=none', 'example.com': 'p=quarantine; sp=reject' },
    { policy: 'reject', domain: 'example.com', organization: 'example.com' },
  ],
  [
    'of a public suffix with psd=y, which is no organization',
    { gov: 'p=none; sp=reject; psd=y' },
    { policy: 'reject', domain: 'gov', organization: 'example.gov' },
  ],
  [
    'of the organization below a public suffix with psd=y',
    { 'gov.uk': 'p=reject; psd=y', 'agency.gov.uk': 'p=quarantine; sp=none' },
    { policy: 'none', domain: 'agency.gov.uk', organization: 'agency.gov.uk' },
  ],
  [
    'of a suffix without psd=y, as a receiver without a list of suffixes sees it',
    { 'co.uk': 'p=reject' },
    { policy: 'reject', domain: 'co.uk', organization: 'co.uk' },
  ],
  [
    'of a domain that says that it is an organization with psd=n',
    { 'dept.example.com': 'p=quarantine; psd=n', 'example.com': 'p=reject' },
    { policy: 'quarantine', domain: 'dept.example.com', organization: 'dept.example.com' },
  ],
  [
    'of itself although it is a public suffix that sends',
    { 'pages.example': 'p=reject; psd=y' },
    { policy: 'reject', domain: 'pages.example', organization: 'pages.example' },
  ],
  [
    'none, where the record has no p',
    { 'example.com': 'rua=mailto:a@example.com' },
    { result: 'found', policy: 'none' },
  ],
  [
    'of its own, although DNS does not answer for those above',
    { 'example.com': 'p=reject', com: 'SERVFAIL' },
    { result: 'found', policy: 'reject', organization: 'example.com' },
  ],
  ['unknown, where DNS does not answer', { 'example.com': 'SERVFAIL' }, { result: 'temperror', policy: null }],
])('a domain has the policy %s', async (_what, records, expected) => {
  const from = {
    gov: 'news.example.gov',
    'gov.uk': 'news.agency.gov.uk',
    'co.uk': 'news.shop.co.uk',
    'b.example.com': 'a.b.example.com',
    'news.example.com': 'news.example.com',
    'dept.example.com': 'news.dept.example.com',
  };
  const [first = ''] = Object.keys(records);
  const domain = from[first as keyof typeof from] ?? first;
  expect(await (await dnsWith(records)).of(domain)).toMatchObject(expected);
});

test('agencies below a public suffix are not aligned with each other; without psd=y they are', async () => {
  for (const [psd, aligned] of [
    ['; psd=y', false],
    ['', true],
  ] as const) {
    const { lookup, of } = await dnsWith({ 'gov.uk': `p=reject${psd}` });
    const dmarc = await of('one.gov.uk');
    const other = await organizationOf('mail.two.gov.uk', lookup);
    expect([psd, isAligned('mail.two.gov.uk', other, 'one.gov.uk', dmarc, false)]).toEqual([psd, aligned]);
    const own = await organizationOf('mail.one.gov.uk', lookup);
    expect(isAligned('mail.one.gov.uk', own, 'one.gov.uk', dmarc, false)).toBe(true);
    expect(isAligned('mail.one.gov.uk', own, 'one.gov.uk', dmarc, true)).toBe(false);
  }
});

test('a return path below a domain that is an organization of its own is not aligned with the one above', async () => {
  const { lookup, of } = await dnsWith({ 'example.com': 'p=reject', 'dept.example.com': 'p=reject; psd=n' });
  const dmarc = await of('example.com');
  const bounces = await organizationOf('b.dept.example.com', lookup);
  expect(isAligned('b.dept.example.com', bounces, 'example.com', dmarc, false)).toBe(false);
});

test('a domain of many labels costs eight questions, the last one for the top-level domain', async () => {
  const { server, of } = await dnsWith({ test: 'p=reject; psd=y' });
  expect(await of('a.b.c.d.e.f.g.h.i.j.example.test')).toMatchObject({
    policy: 'reject',
    organization: 'example.test',
  });
  const asked = server.questions.filter((each) => each.includes('_dmarc.'));
  expect(asked).toHaveLength(8);
  expect(asked[1]).toContain('_dmarc.f.g.h.i.j.example.test');
  expect(asked.at(-1)).toMatch(/_dmarc\.test$/);
});
