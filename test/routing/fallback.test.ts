/** Who may stand in for whom, and chains of fallbacks. */
import { describe, expect, test } from 'vitest';
import type { Connector } from '../../src/routing/connector.ts';
import { explainRoute, loopFrom, mayStandIn } from '../../src/routing/fallback.ts';
import { buildRouteTable } from '../../src/routing/table.ts';

const connector = (id: string, rest: Partial<Connector> = {}): Connector => ({
  id,
  direction: 'outgoing',
  addresses: [],
  ...rest,
});

describe('a connector may stand in', () => {
  test.each([
    ['for everyone, if it has no addresses', {}, true],
    ['for an address of its own', { addresses: ['a@example.com'] }, true],
    ['for a domain of its own', { addresses: ['*@example.com'] }, true],
    ['for no address of others', { addresses: ['b@example.com'] }, false],
    ['for those it is told to', { addresses: ['b@example.com'], fallbackFor: ['a@example.com'] }, true],
    ['for everyone, if it is told to', { addresses: ['b@example.com'], fallbackFor: ['*'] }, true],
    ['for nobody else, if it is told for whom and has no address', { fallbackFor: ['b@example.com'] }, false],
    ['for nobody, if it only receives', { direction: 'incoming' as const }, false],
  ])('%s', (_, rest, may) => {
    expect(mayStandIn(connector('x', rest), 'A@Example.com', null)).toBe(may);
  });

  test('for everyone, if it is the system default gateway', () => {
    expect(mayStandIn(connector('x', { addresses: ['b@example.com'] }), 'a@example.com', 'x')).toBe(true);
  });
});

test('a loop is found wherever it begins, and a chain that ends is none', () => {
  const of: Record<string, string[]> = { a: ['x', 'b'], b: ['c'], c: ['a'], d: ['a'], x: [] };
  const fallbackOf = (id: string): string[] => of[id] ?? [];
  expect(loopFrom('a', fallbackOf)).toEqual(['a', 'b', 'c', 'a']);
  expect(loopFrom('d', fallbackOf)).toBeNull();
  expect(loopFrom('x', fallbackOf)).toBeNull();
});

test('an explained route says who stands in, and who may not', () => {
  const connectors = [
    connector('sales', {
      addresses: ['a@example.com'],
      fallback: { to: ['other', 'relay'], afterMs: 60_000, atOnce: ['auth'] },
    }),
    connector('other', { addresses: ['other@example.com'] }),
    connector('relay'),
  ];
  expect(explainRoute(buildRouteTable(connectors, null), connectors, 'a@example.com')).toEqual({
    from: 'a@example.com',
    connector: 'sales',
    rule: 'exact',
    passedOver: [],
    fallback: [
      { connector: 'other', maySend: false },
      { connector: 'relay', maySend: true },
    ],
    fallbackAfterMs: 60_000,
    fallbackAtOnce: ['auth'],
  });
});
