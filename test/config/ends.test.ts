/** Credentials and certificates are warned of before they end, with the line in the file; a process says it again each day. */
import { X509Certificate } from 'node:crypto';
import { onTestFinished, expect, test } from 'vitest';
import { createAuthority, localNames } from '../../testkit/certificates.ts';
import { until } from '../../testkit/until.ts';
import { watchEndings } from '../../src/cli/endings.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ProcessEvent } from '../../src/observability/process-events.ts';

const dayMs = 86_400_000;
const now = Date.parse('2027-01-01T12:00:00Z');

async function load(text: string) {
  const bytes = Buffer.from(text);
  const result = await loadConfig({
    file: '/p.yaml',
    env: {},
    cwd: '/',
    now,
    readFile: async () => ({ ok: true, bytes }),
  });
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result;
}

const base =
  'hostname: a.example\nsystemDefaultGateway: c\nconnectors:\n  c:\n    direction: outgoing\n    smtp: { host: a.example }\n';
const warningsOf = async (text: string) =>
  (await load(text)).warnings.map(({ line, rule, key, message }) => `${line} ${rule} ${key} ${message}`);

test.each([
  ['2027-01-29', []],
  ['2027-01-28', ['7 ends-soon connectors.c.expires ends in 27 days, on 2027-01-28: make a new one and put it here']],
  ['2027-01-02', ['7 ends-soon connectors.c.expires ends in 1 day, on 2027-01-02: make a new one and put it here']],
  ['2027-01-01', ['7 ends-soon connectors.c.expires ends within a day, on 2027-01-01: make a new one and put it here']],
  ['2026-12-31', ['7 ends-soon connectors.c.expires has ended, on 2026-12-31: make a new one and put it here']],
])('a secret that ends on %s', async (day, expected) => {
  expect(await warningsOf(`${base}    expires: ${day}\n`)).toEqual(expected);
});

async function certificate(days: number) {
  const authority = await createAuthority('Test', new Date(now));
  const notAfter = new Date(now + days * dayMs);
  return authority.sign({ commonName: 'localhost', names: localNames, notBefore: new Date(now - dayMs), notAfter });
}

const token = (nth: number, expires: string) => ({
  id: `t${nth}`,
  sha256: String(nth).repeat(64),
  scopes: ['messages:send'],
  expires,
});

test('certificates: that of a Graph connector, of the API and of a listener, and tokens, the first end first', async () => {
  const [soon, later, good] = [await certificate(3.5), await certificate(10.5), await certificate(40)];
  const text = JSON.stringify({
    hostname: 'a.example',
    systemDefaultGateway: 'c',
    connectors: {
      c: {
        direction: 'outgoing',
        address: 'a@example.com',
        graph: { tenantId: 't.example', clientId: 'c', credential: { certificate: later.cert + later.key } },
      },
    },
    api: { tls: good, tokens: [token(1, '2027-01-06'), token(2, '2027-03-01')] },
    submission: { listeners: [{ listen: '127.0.0.1:465', security: 'tls', tls: soon }], users: [] },
  });
  const { warnings, config } = await load(text);
  expect(new Date(config.connectors[0]!.credentialEndsAt!)).toEqual(new Date(new X509Certificate(later.cert).validTo));
  expect(warnings.map(({ key, message }) => [key, message.split(',')[0]])).toEqual(
    expect.arrayContaining([
      ['submission.listeners[0].tls.cert', 'ends in 3 days'],
      ['connectors.c.graph.credential.certificate', 'ends in 10 days'],
      ['api.tokens[0].expires', 'ends in 5 days'],
    ]),
  );
  expect(warnings.filter(({ rule }) => rule === 'ends-soon')).toHaveLength(3);
  const told: ProcessEvent[] = [];
  onTestFinished(
    watchEndings(
      () => config,
      (event) => told.push(event),
      { now: () => now, everyMs: 5 },
    ),
  );
  await until(() => told.length >= 6, { what: 'it to be said twice' });
  expect(told.slice(0, 3)).toMatchObject([
    { event: 'ends-soon', key: 'submission.listeners[0].tls.cert', days: 3 },
    { event: 'ends-soon', key: 'api.tokens[0].expires', days: 5 },
    { event: 'ends-soon', key: 'connectors.c.graph.credential.certificate', days: 10 },
  ]);
});
