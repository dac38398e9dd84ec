/** SPF, DKIM and DMARC of a connector's domains, against a DNS server of the test's own, hostile answers included. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { checkDns, type DnsRow } from '../../src/dns/check.ts';
import { createLookup } from '../../src/dns/lookup.ts';
import { evaluateSpf } from '../../src/dns/spf.ts';
import { startDnsServer, type DnsRecord } from '../../testkit/dns.ts';
import { goodConfig } from '../config/load-text.ts';

type Table = Record<string, DnsRecord[]>;

async function serverOf(table: Table) {
  const server = await startDnsServer(table);
  onTestFinished(() => server.stop());
  return server;
}

async function lookupOf(table: Table) {
  const server = await serverOf(table);
  return { lookup: createLookup({ server: server.address, signal: AbortSignal.timeout(20_000) }), server };
}

const txt = (text: string): DnsRecord[] => [{ txt: text }];
const outlook = { 'spf.protection.outlook.com': txt('v=spf1 ip4:40.92.0.0/15 -all') };

describe('SPF', () => {
  const spf = async (table: Table, ip: string | null = '192.0.2.1') =>
    evaluateSpf('example.com', ip, (await lookupOf(table)).lookup);

  test.each<[string, string]>([
    ['v=spf1 ip4:192.0.2.0/24 -all', 'pass'],
    ['v=spf1 ip4:198.51.100.0/24 -all', 'fail'],
    ['v=spf1 ip4:198.51.100.0/24 ~all', 'softfail'],
    ['v=spf1 ip4:198.51.100.1', 'neutral'],
    ['v=spf1 a:mail.example.com -all', 'pass'],
    ['v=spf1 mx -all', 'pass'],
    ['v=spf1 include:other.example -all', 'pass'],
    ['v=spf1 redirect=other.example', 'pass'],
    ['v=spf1 a:mail.example.com/24//64 -all', 'pass'],
    ['v=spf1 ip4:192.0.2.0/99 -all', 'permerror'],
    ['v=spf1 include:nowhere.example -all', 'permerror'],
    ['v=spf1 something -all', 'permerror'],
    ['v=spf1 exists:%{i}.example.com -all', 'unknown'],
  ])('%s is %s', async (record, result) => {
    const table = {
      'example.com': [{ txt: record }, { txt: 'another text' }, { mx: 'mail.example.com' }],
      'mail.example.com': [{ a: '192.0.2.1' }],
      'other.example': txt('v=spf1 ip4:192.0.2.1 -all'),
    };
    expect(await spf(table)).toMatchObject({ result, record });
  });

  test('an eleventh lookup is an error, also in a loop of includes', async () => {
    const found = await spf({ 'example.com': txt('v=spf1 include:example.com -all') });
    expect(found).toMatchObject({
      result: 'permerror',
      lookups: 11,
      why: expect.stringContaining('more than 10 lookups'),
    });
  });

  test('two records are an error, and none is none', async () => {
    expect(await spf({ 'example.com': [{ txt: 'v=spf1 -all' }, { txt: 'v=spf1 +all' }] })).toMatchObject({
      result: 'permerror',
    });
    expect(await spf({ 'example.com': txt('v=spf10 -all') })).toMatchObject({ result: 'none' });
  });

  test('a long record in several strings is read over TCP as one text', async () => {
    const filler = Array.from({ length: 60 }, (_, i) => `ip4:198.51.100.${i}`).join(' ');
    expect(await spf({ 'example.com': txt(`v=spf1 ${filler} ip4:192.0.2.1 -all`) })).toMatchObject({ result: 'pass' });
  });

  test.each<[string, DnsRecord[]]>([
    ['a loop of aliases', [{ cname: 'example.com' }]],
    ['SERVFAIL', [{ fault: 'servfail' }]],
    ['a record beyond the bound', [{ txt: `v=spf1 ${'x'.repeat(20_000)}` }]],
    ['more records than anyone needs', Array.from({ length: 150 }, (_, i) => ({ txt: `v=spf1 ${i}` }))],
  ])('%s ends without a result, and in time', async (_, records) => {
    const found = await spf({ 'example.com': records });
    expect(['temperror', 'none']).toContain(found.result);
  });

  test.each(['drop', 'garbage'] as const)(
    'a server that answers with %s costs the time limit and no more',
    { timeout: 20_000 },
    async (fault) => {
      const startedAt = performance.now();
      expect(await spf({ 'example.com': [{ fault }] })).toMatchObject({ result: 'temperror' });
      expect(performance.now() - startedAt).toBeLessThan(15_000);
    },
  );

  test('what a hostile record says is cut in the explanation', async () => {
    const found = await spf({ 'example.com': txt(`v=spf1 ${'a'.repeat(3_000)}`) });
    expect(found.result).toBe('permerror');
    expect(found.why.length).toBeLessThan(200);
  });
});

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const published = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64');
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .publicKey.export({ format: 'der', type: 'spki' })
  .toString('base64');

const graph = 'graph: { tenantId: t, clientId: c, credential: { clientSecret: s } }';
const signing = 'smtp: { host: 192.0.2.1, dkim: { domain: example.com, selector: s1, key: "${KEY}" } }';

async function row(connector: string, table: Table): Promise<DnsRow> {
  const text = [
    'hostname: mail.example.com',
    'systemDefaultGateway: c',
    'connectors:',
    `  c: { direction: outgoing, address: a@example.com, ${connector} }`,
  ].join('\n');
  const server = await serverOf(table);
  const config = await goodConfig(text, { env: { KEY: pem } });
  const { rows } = await checkDns(config, { server: server.address, timeoutMs: 20_000 });
  expect(rows).toHaveLength(1);
  return rows[0]!;
}

describe('a receiver', () => {
  test.each([
    ['smtp.office365.com', 'mail.example.net'],
    ['mail.example.net', 'smtp.office365.com'],
  ])('may get unsigned mail where of the hosts %s and %s only one is Microsoft’s', async (...hosts) => {
    const list = hosts.map((host) => `{ host: ${host} }`).join(', ');
    const { spf, dkim, conclusion } = await row(`smtp: { hosts: [${list}] }`, {
      ...outlook,
      'example.com': txt('v=spf1 include:spf.protection.outlook.com -all'),
      'mail.example.net': [{ a: '192.0.2.1' }],
    });
    expect({ spf, dkim, conclusion }).toMatchObject({
      spf: { result: 'unknown', why: 'its hosts are of different providers' },
      dkim: { result: 'unknown', why: expect.stringContaining('the other hosts') },
      conclusion: 'unknown',
    });
  });

  const provider = {
    'smtp.provider.example': [{ a: '198.51.100.7' }],
    'spf.provider.example': txt('v=spf1 ip4:203.0.113.0/24 -all'),
    '_dmarc.example.com': txt('v=DMARC1; p=reject'),
  };

  test('does not judge a provider that is not known by the address that takes its mail', async () => {
    const found = await row('smtp: { host: smtp.provider.example }', {
      ...provider,
      'example.com': txt('v=spf1 include:spf.provider.example -all'),
    });
    expect(found).toMatchObject({ ok: true, conclusion: 'unknown', spf: { result: 'unknown' } });
    const advice = found.advice.join('\n');
    expect(advice).toContain('ask the operator of smtp.provider.example');
    expect(advice).toMatch(/^DKIM: .*signs for example\.com, or set smtp\.dkim$/m);
    expect(advice).not.toContain('198.51.100.7');
  });

  test('finds no SPF record for a provider that is not known; the advice is nothing that could be pasted and be wrong', async () => {
    const found = await row('smtp: { host: smtp.provider.example }', provider);
    expect(found).toMatchObject({ conclusion: 'unknown', spf: { result: 'none' } });
    const advice = found.advice.join('\n');
    expect(advice).toMatch(/^SPF: example\.com has no record; ask the operator of smtp\.provider\.example /m);
    expect(advice).not.toMatch(/addresses of your relay|198\.51\.100\.7/);
  });

  test('takes a server of the domain itself to deliver by its own addresses', async () => {
    const found = await row('smtp: { host: mail.example.com }', {
      'mail.example.com': [{ a: '198.51.100.7' }],
      'example.com': txt('v=spf1 ip4:192.0.2.1 -all'),
    });
    expect(found).toMatchObject({ spf: { result: 'fail' } });
    expect(found.advice.join('\n')).toContain('add ip4:198.51.100.7');
  });

  test('accepts mail of Graph whose domain includes Microsoft, and rejects one whose domain does not', async () => {
    const dmarc = { '_dmarc.example.com': txt('v=DMARC1; p=reject') };
    const good = await row(graph, {
      ...outlook,
      ...dmarc,
      'example.com': txt('v=spf1 include:spf.protection.outlook.com -all'),
    });
    expect(good).toMatchObject({
      ok: true,
      conclusion: 'pass',
      spf: { result: 'pass', aligned: true },
      dmarc: { policy: 'reject' },
    });
    const bad = await row(graph, { ...dmarc, 'example.com': txt('v=spf1 -all') });
    expect(bad).toMatchObject({ ok: false, conclusion: 'fail', dkim: { result: 'missing' } });
    expect(bad.advice.join()).toContain('add include:spf.protection.outlook.com');
    expect(bad.advice).toContain('receivers reject this mail');
  });

  test.each<[string, DnsRecord[], string, boolean]>([
    ['the key of the connector', txt(`v=DKIM1; k=rsa; p=${published}`), 'ok', true],
    ['another key', txt(`v=DKIM1; k=rsa; p=${other}`), 'mismatch', false],
    ['a revoked key', txt('v=DKIM1; p='), 'revoked', false],
    ['no key', txt('v=DKIM1; p=%%%'), 'invalid', false],
  ])('finds %s for the selector', async (_, records, result, ok) => {
    const found = await row(signing, {
      's1._domainkey.example.com': records,
      'example.com': txt('v=spf1 ip4:192.0.2.1 -all'),
    });
    expect(found).toMatchObject({ ok, dkim: { result, aligned: true, name: 's1._domainkey.example.com' } });
  });

  test('does not count SPF of a return path of another organization', async () => {
    const found = await row(`bouncePath: "b+{id}@bounces.example.net", smtp: { host: 192.0.2.1 }`, {
      'bounces.example.net': txt('v=spf1 ip4:192.0.2.1 -all'),
      '_dmarc.example.com': txt('v=DMARC1; p=quarantine'),
    });
    expect(found).toMatchObject({
      conclusion: 'unknown',
      spf: { result: 'pass', aligned: false, domain: 'bounces.example.net' },
    });
    expect(found.advice.join()).toContain('not aligned');
  });

  test('takes the policy of the domain above for a subdomain, and its alignment', async () => {
    const text =
      'hostname: a.example\nsystemDefaultGateway: c\nconnectors:\n  c: { direction: outgoing, address: a@news.example.com, smtp: { host: 192.0.2.1 } }';
    const server = await serverOf({
      'news.example.com': txt('v=spf1 ip4:192.0.2.1 -all'),
      '_dmarc.example.com': txt('v=DMARC1; p=reject; sp=none'),
    });
    const { rows } = await checkDns(await goodConfig(text), { server: server.address, timeoutMs: 20_000 });
    expect(rows[0]).toMatchObject({
      conclusion: 'pass',
      dmarc: { policy: 'none', domain: 'example.com', organization: 'example.com' },
    });
  });

  test('is asked once for each name, however many connectors have the domain', async () => {
    const connectors = Array.from(
      { length: 20 },
      (_, i) => `  c${i}: { direction: outgoing, address: a${i}@example.com, ${graph} }`,
    );
    const text = ['hostname: a.example', 'systemDefaultGateway: c0', 'connectors:', ...connectors].join('\n');
    const server = await serverOf({ 'example.com': txt('v=spf1 -all') });
    const { rows } = await checkDns(await goodConfig(text), { server: server.address, timeoutMs: 20_000 });
    expect(rows).toHaveLength(20);
    expect(server.questions.length).toBe(new Set(server.questions).size);
  });
});
