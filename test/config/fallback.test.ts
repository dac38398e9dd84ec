/** The keys `fallback…` of a connector: what they mean, and which combinations are mistakes, each with its line. */
import { expect, test } from 'vitest';
import { brief, goodConfig, loadText, mistakes, onlyIssue } from './load-text.ts';

/** Connectors of one line each, from line 4 on; the first is the gateway. */
function withConnectors(...bodies: readonly string[]): string {
  const names = ['a', 'b', 'c', 'd'];
  const lines = bodies.map((body, i) => `  ${names[i]}: { smtp: { host: x.example }, ${body} }`);
  return `hostname: mail.example.com\nsystemDefaultGateway: a\nconnectors:\n${lines.join('\n')}\n`;
}

const warningsOf = async (text: string) => (await loadText(text)).warnings.map(brief);

test('a connector has no fallback unless it is written, and one name is a list of one', async () => {
  const config = await goodConfig(withConnectors('direction: outgoing, fallback: b', 'direction: outgoing'));
  expect(config.connectors.map(({ fallback }) => fallback)).toEqual([{ to: ['b'], afterMs: 60_000, atOnce: [] }, null]);
});

test('all keys of a fallback are read', async () => {
  const config = await goodConfig(
    withConnectors(
      'direction: outgoing, fallback: [b, c], fallbackAfter: 0s, fallbackAtOnce: [auth, tls]',
      'direction: outgoing, address: b@example.com, fallbackFor: ["*@Example.com", "*"]',
      'direction: outgoing',
    ),
  );
  expect(config.connectors[0]?.fallback).toEqual({ to: ['b', 'c'], afterMs: 0, atOnce: ['auth', 'tls'] });
  expect(config.connectors[1]?.fallbackFor).toEqual(['*@example.com', '*']);
});

test('a fallback that is no connector is refused, with the one that was probably meant', async () => {
  const text = withConnectors('direction: outgoing, fallback: [b, relais]', 'direction: outgoing').replaceAll(
    '  b:',
    '  relay: { direction: outgoing, smtp: { host: y.example } }\n  b:',
  );
  expect(await onlyIssue(text)).toMatchObject({
    key: 'connectors.a.fallback[1]',
    line: 4,
    rule: 'fallback-unknown',
    message: 'is not a connector; did you mean relay?',
  });
});

test('a fallback that only receives is refused, and so is a fallback of one', async () => {
  const incoming = 'direction: incoming, incoming: { protocol: imap, host: y.example, user: u, password: p }';
  const text = withConnectors('direction: outgoing, fallback: b', `${incoming}, fallback: a`).replace(
    '  b: { smtp: { host: x.example }, ',
    '  b: { ',
  );
  expect(await mistakes(text)).toEqual([
    '4 fallback-loop connectors.a.fallback',
    '4 fallback-incoming connectors.a.fallback',
    '5 fallback-incoming connectors.b.fallback',
    '5 fallback-loop connectors.b.fallback',
  ]);
});

test('a connector that is its own fallback is refused', async () => {
  expect(await onlyIssue(withConnectors('direction: outgoing, fallback: [a]'))).toMatchObject({
    key: 'connectors.a.fallback[0]',
    line: 4,
    rule: 'fallback-loop',
  });
});

test('a loop of fallbacks is refused, and each of its connectors is named', async () => {
  const text = withConnectors(
    'direction: outgoing, fallback: b',
    'direction: outgoing, fallback: [c]',
    'direction: outgoing, fallback: a',
    'direction: outgoing, fallback: a',
  );
  expect(await mistakes(text)).toEqual([
    '4 fallback-loop connectors.a.fallback',
    '5 fallback-loop connectors.b.fallback',
    '6 fallback-loop connectors.c.fallback',
  ]);
});

test('a fallback of a fallback is no mistake', async () => {
  const config = await goodConfig(
    withConnectors('direction: outgoing, fallback: [b, c]', 'direction: outgoing, fallback: c', 'direction: outgoing'),
  );
  expect(config.connectors).toHaveLength(3);
});

test('a fallback that may not send for an address of the connector is a warning', async () => {
  const text = withConnectors(
    'direction: outgoing',
    'direction: outgoing, addresses: [b@example.com, b2@example.com], fallback: [c]',
    'direction: outgoing, address: c@example.com, fallbackFor: [b@example.com]',
  );
  expect(await warningsOf(text)).toEqual(['5 fallback-unfit connectors.b.fallback[0]']);
  expect(await warningsOf(text.replace('[b@example.com] }', '["*@example.com"] }'))).toEqual([]);
});

test('a connector that is only a fallback is no connector that is never chosen', async () => {
  expect(await warningsOf(withConnectors('direction: outgoing, fallback: b', 'direction: outgoing'))).toEqual([]);
});
