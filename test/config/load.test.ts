/** Which file is loaded, how single values are read, and that all mistakes come at once. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { configRules, formatIssues } from '../../src/config/issues.ts';
import { loadConfig } from '../../src/config/load.ts';
import { nearest } from '../../src/config/suggest.ts';
import { parseDurationMs, parseSizeBytes } from '../../src/config/units.ts';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const good = withConnector('direction: outgoing\nsmtp: { host: a.example }');

describe('the path of the file', () => {
  const pathRead = async (options: { file?: string; env?: Record<string, string> }) => {
    const read: string[] = [];
    const { file } = await loadConfig({
      env: {},
      cwd: '/srv/app',
      readFile: async (path) => {
        read.push(path);
        return { ok: true, bytes: Buffer.from(good) };
      },
      ...options,
    });
    return [file, ...read];
  };

  test('is --config, else POSTLANE_CONFIG, else postlane.yaml of the working directory', async () => {
    const env = { POSTLANE_CONFIG: '/etc/p.yaml' };
    expect(await pathRead({ file: 'conf/a.yaml', env })).toEqual(['conf/a.yaml', '/srv/app/conf/a.yaml']);
    expect(await pathRead({ env })).toEqual(['/etc/p.yaml', '/etc/p.yaml']);
    expect(await pathRead({})).toEqual(['postlane.yaml', '/srv/app/postlane.yaml']);
    expect(await pathRead({ env: { POSTLANE_CONFIG: '' } })).toEqual(['postlane.yaml', '/srv/app/postlane.yaml']);
  });

  test('that cannot be read is reported without a line', async () => {
    const readFile = async () => ({ ok: false, problem: 'EACCES' }) as const;
    const result = await loadConfig({ env: {}, cwd: '/srv', readFile });
    expect(!result.ok && formatIssues(result.issues)).toEqual([
      'postlane.yaml  [file-unreadable]  cannot be read (EACCES); pass its path with --config FILE or POSTLANE_CONFIG',
    ]);
  });

  test('is among the files of the result, with all that it refers to, missing ones included', async () => {
    const text = withConnector(
      'direction: outgoing\nsmtp: { host: a.example, tls: { ca: ca.pem }, auth: { user: "${file:/u}", password: "${file:none}" } }',
    );
    expect((await loadText(text, { files: { '/u': 'x' } })).files).toEqual([
      '/etc/postlane/postlane.yaml',
      '/u',
      '/etc/postlane/none',
      '/etc/postlane/ca.pem',
    ]);
  });
});

test('all mistakes come at once, in the order of the file', async () => {
  const text = `hostname: "mail example"
systemDefaultGateway: nobody
redis: { prefix: postlane, uri: x }
connectors:
  a:
    direction: out
    smtp: { host: "smtp://x", port: 0 }
  b:
    direction: both
    address: b@example.com
    smtp: { host: x.example, security: none, auth: { user: "\${USER}", password: "" } }
  c:
    direction: outgoing
    address: b@example.com
retry: { firstDelay: 0s }
worker: { slots: 1.5 }
`;
  expect(await mistakes(text)).toEqual([
    '1 hostname hostname',
    '2 default-gateway-unknown systemDefaultGateway',
    '3 prefix redis.prefix',
    '3 unknown-key redis.uri',
    '6 choice connectors.a.direction',
    '7 host connectors.a.smtp.host',
    '7 port connectors.a.smtp.port',
    '11 insecure-auth connectors.b.smtp.security',
    '11 missing-variable connectors.b.smtp.auth.user',
    '11 empty connectors.b.smtp.auth.password',
    '12 transport-missing connectors.c',
    '14 duplicate-address connectors.c.address',
    '15 duration retry.firstDelay',
    '16 type worker.slots',
  ]);
});

test('an issue is printed as file:line:column, key, rule and what to do', async () => {
  const issue = await onlyIssue(withConnector('direction: outgoing\nsmtp:\n  host: a.example\n  port: 70000'));
  expect(formatIssues([issue])).toEqual([
    '/etc/postlane/postlane.yaml:8:13  connectors.c.smtp.port  [port]  must be a whole number from 1 to 65535; it is 70000',
  ]);
});

test.each([
  ['hostname: mail.example.com', 'hostname: ""', '1 hostname hostname'],
  ['hostname: mail.example.com', 'log: {}', '1 required hostname'],
  ['hostname: mail.example.com', 'hostname:', '1 empty hostname'],
  ['hostname: mail.example.com', 'hostname: 5', '1 type hostname'],
  ['hostname: mail.example.com', 'hostname: "[192.0.2.300]"', '1 hostname hostname'],
  ['hostname: mail.example.com', 'hostname: 192.0.2.1', '1 hostname hostname'],
  ['hostname: mail', 'log: { level: loud }\nhostname: mail', '1 choice log.level'],
  ['hostname: mail', 'redis: { url: localhost }\nhostname: mail', '1 url redis.url'],
  ['hostname: mail', 'redis: []\nhostname: mail', '1 type redis'],
  ['hostname: mail', 'message: { maxSize: 1.5MB }\nhostname: mail', '1 size message.maxSize'],
  ['hostname: mail', 'message: { maxSize: [] }\nhostname: mail', '1 size message.maxSize'],
  ['hostname: mail', 'message: { maxRecipients: 0 }\nhostname: mail', '1 range message.maxRecipients'],
  ['hostname: mail', 'worker: { slots: 100000 }\nhostname: mail', '1 range worker.slots'],
  ['hostname: mail', 'worker: { drain: 2d }\nhostname: mail', '1 duration worker.drain'],
  ['hostname: mail', 'worker: { health: { port: 65536 } }\nhostname: mail', '1 port worker.health.port'],
  ['host: a.example', 'host: "a.example:25"', '6 host connectors.c.smtp.host'],
  ['host: a.example', 'host: "a.example\\r\\nQUIT"', '6 host connectors.c.smtp.host'],
  ['smtp: { host: a.example }', 'smtp: {}', '6 required connectors.c.smtp.host'],
  [
    'smtp: { host: a.example }',
    'graph: { tenantId: "a/../b", clientId: c, credential: { clientSecret: s } }',
    '6 tenant connectors.c.graph.tenantId',
  ],
  ['direction: outgoing', 'direction: Outgoing', '5 choice connectors.c.direction'],
])('"%s" replaced by "%s" is rejected', async (from, to, expected) => {
  expect(good).toContain(from);
  expect(await mistakes(good.replace(from, to))).toEqual([expected]);
});

test.each([
  ['mail.example.com', 'mail.example.com'],
  ['localhost', 'localhost'],
  ['Bücher.example', 'xn--bcher-kva.example'],
  ['"[192.0.2.1]"', '[192.0.2.1]'],
  ['"[IPv6:2001:db8::1]"', '[IPv6:2001:db8::1]'],
])('the hostname may be %s', async (written, read) => {
  expect((await goodConfig(good.replace('mail.example.com', written))).hostname).toBe(read);
});

test.each([
  ['a.example', 'a.example'],
  ['127.0.0.1', '127.0.0.1'],
  ['"::1"', '::1'],
  ['"[::1]"', '::1'],
  ['mail_sink', 'mail_sink'],
  ['Bücher.example', 'xn--bcher-kva.example'],
])('a host may be %s', async (written, read) => {
  const config = await goodConfig(good.replace('a.example', written));
  expect(config.connectors[0]?.transport).toMatchObject({ smtp: { host: read } });
});

describe('units', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each(['', '5', 's', '0s', '-1s', '1.5h', '1h30m', '1 h', '1H', '1e3s', '٣s', '30sec', '1__proto__'])(
    '"%s" is not a duration',
    (text) => {
      expect(parseDurationMs(text)).toBeNull();
    },
  );

  test.each([
    ['1B', 1],
    ['2KB', 2000],
    ['2KiB', 2048],
    ['25MB', 25_000_000],
    ['25MiB', 26_214_400],
  ])('%s is %i bytes', async (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes);
    expect((await goodConfig(`message: { maxSize: ${text} }\n${good}`)).message.maxBytes).toBe(bytes);
  });

  test('a size may be a plain number of bytes', async () => {
    expect((await goodConfig(`message: { maxSize: 1000 }\n${good}`)).message.maxBytes).toBe(1000);
  });
});

describe('suggestions', () => {
  const known = ['firstDelay', 'maxDelay', 'lifetime', 'tls'];

  test.each([
    ['firstdelay', 'firstDelay'],
    ['first_delay', 'firstDelay'],
    ['maxDealy', 'maxDelay'],
    ['tsl', 'tls'],
    ['hots', null],
    ['tlss', 'tls'],
    ['something', null],
  ])('for "%s" the suggestion is %s', (word, expected) => {
    expect(nearest(word, known)).toBe(expected);
  });

  test('the nearest to a known word is the word itself', () => {
    fc.assert(
      fc.property(fc.constantFrom(...known), (word) => {
        expect(nearest(word, known)).toBe(word);
      }),
    );
  });

  test.each([
    ['hostname: mail', 'hostnam: x\nhostname: mail', 'hostname'],
    ['smtp:', 'port: 25\n    smtp:', 'smtp.port'],
    ['host:', 'hots: x, host:', 'host'],
  ])('"%s" replaced by "%s" gets the suggestion %s', async (from, to, suggestion) => {
    expect((await onlyIssue(good.replace(from, to))).message).toContain(`did you mean ${suggestion}?`);
  });

  test('an unknown key that resembles none gets the list of those known', async () => {
    const { message } = await onlyIssue(good.replace('host:', 'colour: x, host:'));
    expect(message).toContain('known keys: host, hosts, port, security, auth');
  });
});

test('whatever the text, loading gives a result and every issue has a known rule and a place', async () => {
  const word = fc.constantFrom(
    'hostname: a.example',
    'systemDefaultGateway: c',
    'connectors:',
    '  c:',
    '    direction: both',
    '    smtp: { host: a }',
    '    addresses: [a@b]',
    '  - x',
    '? y',
    '&a *a',
    '"${X}"',
    '{',
    '---',
    '\tz',
    'redis: ~',
    '__proto__: 1',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(word, { maxLength: 8 }).map((lines) => lines.join('\n')),
  );
  await fc.assert(
    fc.asyncProperty(text, async (input) => {
      const result = await loadText(input);
      for (const { rule, line, column } of result.ok ? [] : result.issues) {
        expect(configRules).toHaveProperty(rule);
        // Text with a NUL is no text, and has no lines.
        const hasPlace = rule !== 'file-unreadable';
        expect([line > 0, column > 0]).toEqual([hasPlace, hasPlace]);
      }
    }),
    { numRuns: 500 },
  );
});

test('ten thousand connectors load', async () => {
  const many = Array.from(
    { length: 10_000 },
    (_, at) => `  c${at}: { direction: outgoing, address: a${at}@example.com, smtp: { host: a.example } }`,
  );
  const text = `hostname: mail.example.com\nsystemDefaultGateway: c0\nconnectors:\n${many.join('\n')}\n`;
  expect((await goodConfig(text)).connectors).toHaveLength(10_000);
});
