/** What `worker.drain` has to allow for: the longest send by the timeouts of all connectors that send. */
import { expect, test } from 'vitest';
import { longestSend } from '../../src/config/longest-send.ts';
import { goodConfig, withConnector } from './load-text.ts';

const graph = 'tenantId: t.example, clientId: 00000000-0000-0000-0000-000000000000, credential: { clientSecret: s }';

test.each([
  ['SMTP: an attempt, then the reply to the end of data', 'smtp: { host: h, security: none }', 40 * 60_000],
  [
    'SMTP with timeouts of its own',
    'smtp: { host: h, security: none, timeouts: { total: 2m, dataTermination: 30s } }',
    150_000,
  ],
  ['Graph: a token, then a large message', `address: a@example.com\ngraph: { ${graph} }`, 30 * 60_000 + 20_000],
  [
    'Graph whose requests take longer than a large message',
    `address: a@example.com\ngraph: { ${graph}, timeouts: { token: 1s, request: 5m, upload: 4m } }`,
    301_000,
  ],
])('%s', async (_, connector, longestMs) => {
  const config = await goodConfig(withConnector(`direction: outgoing\n${connector}`));
  expect(longestSend(config)).toEqual({ connector: 'c', longestMs });
});

test('the longest of all counts, and a connector that only reads mail does not', async () => {
  const connectors = [
    'quick: { address: q@example.com, direction: outgoing, smtp: { host: h, security: none, timeouts: { total: 1m, dataTermination: 1m } } }',
    'slow: { address: s@example.com, direction: both, smtp: { host: h, security: none, timeouts: { total: 3m, dataTermination: 1m } } }',
    `reads: { address: r@example.com, direction: incoming, graph: { ${graph} } }`,
  ];
  const config = await goodConfig(
    `hostname: mail.example.com\nsystemDefaultGateway: quick\nconnectors:\n${connectors.map((line) => `  ${line}\n`).join('')}`,
  );
  expect(longestSend(config)).toEqual({ connector: 'slow', longestMs: 240_000 });
  expect(longestSend({ connectors: [] })).toBeNull();
});
