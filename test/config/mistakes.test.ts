/** The mistakes that operators make most, each alone in an otherwise good file: key, line and rule are named. */
import { expect, test } from 'vitest';
import { goodConfig, loadText, onlyIssue } from './load-text.ts';

const env = { RELAY_PASSWORD: 'relay-secret', FINANCE_PASSWORD: 'finance-secret', ARCHIVE_PASSWORD: 'archive-secret' };

/** One connector of each kind. */
const good = `redis: { url: redis://127.0.0.1:6379 }
hostname: mail.example.com
systemDefaultGateway: relay
unmonitoredAddress: no-reply@example.com
connectors:
  relay:
    direction: outgoing
    smtp: { host: smtp.example.com, port: 587, security: starttls, auth: { user: relay, password: "\${RELAY_PASSWORD}" } }
  open:
    addresses: ["*@intern.example.com"]
    direction: outgoing
    smtp: { host: relay.intern.example.com, security: none }
  sales:
    address: sales@example.com
    direction: both
    smtp: { host: smtp.example.com, port: 465, security: tls, auth: { user: sales, password: "\${RELAY_PASSWORD}" } }
  finance:
    addresses: [finance@example.com, "*@finance.example.com"]
    direction: both
    incoming: { protocol: imap, host: imap.example.com, port: 993, user: finance, password: "\${FINANCE_PASSWORD}" }
    smtp: { host: smtp.example.com, port: 465, security: tls }
  archive:
    address: archive@example.com
    direction: incoming
    incoming: { protocol: pop3, host: pop.example.com, port: 995, user: archive, password: "\${ARCHIVE_PASSWORD}" }
`;

const change = (from: string, to: string): string => {
  if (!good.includes(from)) throw new Error(`the file has no ${from}`);
  return good.replace(from, to);
};

test('the file without mistakes is good, without a warning', async () => {
  expect(await loadText(good, { env })).toMatchObject({ ok: true, warnings: [] });
  expect((await goodConfig(good, { env })).connectors).toHaveLength(5);
});

test.each<[string, string, { key: string; line: number; rule: string }]>([
  [
    'no default gateway',
    change('systemDefaultGateway: relay\n', ''),
    { key: 'systemDefaultGateway', line: 1, rule: 'default-gateway-missing' },
  ],
  [
    'a disabled gateway without unmonitored address',
    change('Gateway: relay\nunmonitoredAddress: no-reply@example.com', 'Gateway: disabled'),
    { key: 'systemDefaultGateway', line: 3, rule: 'unmonitored-address-missing' },
  ],
  [
    'a disabled gateway and an unmonitored address without a sending connector',
    change('Gateway: relay', 'Gateway: disabled'),
    { key: 'unmonitoredAddress', line: 4, rule: 'unmonitored-address-unmatched' },
  ],
  [
    'a disabled gateway and an unmonitored address of an incoming-only connector',
    change('Gateway: relay\nunmonitoredAddress: no-reply', 'Gateway: disabled\nunmonitoredAddress: archive'),
    { key: 'unmonitoredAddress', line: 4, rule: 'unmonitored-address-unmatched' },
  ],
  [
    'an incoming-only default gateway',
    change('Gateway: relay', 'Gateway: archive'),
    { key: 'systemDefaultGateway', line: 3, rule: 'default-gateway-incoming' },
  ],
  [
    'two connectors with one address',
    change('finance@example.com,', 'Sales@EXAMPLE.com,'),
    { key: 'connectors.finance.addresses[0]', line: 18, rule: 'duplicate-address' },
  ],
  [
    'auth beside incoming credentials',
    change('port: 465, security: tls }', 'port: 465, security: tls, auth: { user: x, password: y } }'),
    { key: 'connectors.finance.smtp.auth', line: 21, rule: 'auth-beside-incoming' },
  ],
  ['an unknown key', change('hostname:', 'hostName: x\nhostname:'), { key: 'hostName', line: 2, rule: 'unknown-key' }],
  [
    'a missing secret',
    change('FINANCE_PASSWORD', 'FINANCE_PASS'),
    { key: 'connectors.finance.incoming.password', line: 20, rule: 'missing-variable' },
  ],
  ['a bad port', change('port: 587', 'port: 70000'), { key: 'connectors.relay.smtp.port', line: 8, rule: 'port' }],
  [
    'a bad address',
    change('address: sales@example.com', 'address: sales.example.com'),
    { key: 'connectors.sales.address', line: 14, rule: 'address-pattern' },
  ],
  [
    'an unknown connector id',
    change('Gateway: relay', 'Gateway: realy'),
    { key: 'systemDefaultGateway', line: 3, rule: 'default-gateway-unknown' },
  ],
  [
    'credentials over plain SMTP',
    change('port: 587, security: starttls', 'port: 587, security: none'),
    { key: 'connectors.relay.smtp.security', line: 8, rule: 'insecure-auth' },
  ],
])('%s is refused', async (_mistake, text, expected) => {
  expect(await onlyIssue(text, { env })).toMatchObject(expected);
});
