/** Which connector sends for a From address. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { routingKey } from '../../src/message/address.ts';
import { type Connector, type Direction, sends } from '../../src/routing/connector.ts';
import { explain, resolve } from '../../src/routing/resolve.ts';
import { buildRouteTable, type RouteTable } from '../../src/routing/table.ts';

const connector = (id: string, direction: Direction, ...addresses: string[]): Connector => ({
  id,
  direction,
  addresses,
});

const table = buildRouteTable(
  [
    connector('relay', 'outgoing'),
    connector('sales', 'both', 'sales@example.com'),
    connector('house', 'outgoing', '*@example.com', '*@xn--bcher-kva.example'),
    connector('archive', 'incoming', 'archive@example.com', 'archive@example.net', '*@archive.example'),
  ],
  'relay',
);
const routeOf = (from: string) => {
  const { connector, rule } = resolve(table, from);
  return `${rule} ${connector}`;
};

describe('resolve', () => {
  test('prefers the exact address over the domain, and the domain over the default', () => {
    expect(routeOf('sales@example.com')).toBe('exact sales');
    expect(routeOf('other@example.com')).toBe('domain house');
    expect(routeOf('other@example.org')).toBe('default relay');
  });

  test('answers none if no connector matches and the default is disabled', () => {
    const closed = buildRouteTable([connector('sales', 'both', 'sales@example.com')], null);
    expect(resolve(closed, 'x@example.com')).toEqual({ connector: null, rule: 'none', passedOver: [] });
  });

  test('ignores case, in the local part too', () => {
    expect(routeOf('SALES@Example.COM')).toBe('exact sales');
  });

  test('compares IDN domains as A-labels', () => {
    expect(routeOf('info@Bücher.example')).toBe('domain house');
    expect(routeOf('info@xn--bcher-kva.example')).toBe('domain house');
  });

  test('takes a sub-address for another address, unless it is written', () => {
    expect(routeOf('sales+x@example.com')).toBe('domain house');
    const written = buildRouteTable([connector('plus', 'outgoing', 'sales+x@example.com')], null);
    expect(resolve(written, 'Sales+X@example.com').connector).toBe('plus');
  });

  test('does not take a sub-domain for the domain', () => {
    expect(routeOf('x@mail.example.com')).toBe('default relay');
  });

  test('passes over an incoming-only connector, and says so', () => {
    expect(resolve(table, 'archive@example.net')).toEqual({
      connector: 'relay',
      rule: 'default',
      passedOver: [
        {
          connector: 'archive',
          why: 'matches archive@example.net but its direction is incoming, so it never sends',
        },
      ],
    });
  });

  test('falls from an incoming-only exact match to the domain', () => {
    expect(resolve(table, 'archive@example.com')).toMatchObject({
      connector: 'house',
      rule: 'domain',
      passedOver: [{ connector: 'archive' }],
    });
  });

  test('names an incoming-only connector once, though it matches twice', () => {
    const twice = buildRouteTable([connector('in', 'incoming', 'a@example.com', '*@example.com')], null);
    expect(resolve(twice, 'a@example.com').passedOver).toEqual([
      { connector: 'in', why: expect.stringContaining('a@example.com') },
    ]);
  });

  test('names a connector that only receives although another one sends', () => {
    const both = buildRouteTable(
      [connector('in', 'incoming', 'a@example.com'), connector('out', 'outgoing', 'a@example.com')],
      null,
    );
    expect(resolve(both, 'a@example.com')).toMatchObject({
      connector: 'out',
      rule: 'exact',
      passedOver: [{ connector: 'in' }],
    });
  });

  test.each(['__proto__@example.org', 'constructor@example.org', 'x@constructor', '', '@', 'a'])(
    'finds no connector for the odd address "%s"',
    (from) => {
      expect(routeOf(from)).toBe('default relay');
    },
  );

  test('agrees with a search through all connectors, one by one', () => {
    const local = fc.constantFrom('a', 'B', 'c+x', 'd.e');
    const domain = fc.constantFrom('one.example', 'TWO.example', 'bücher.example');
    const address = fc.tuple(local, domain).map(([l, d]) => `${l}@${d}`);
    const pattern = fc.oneof(
      address,
      domain.map((d) => `*@${d}`),
    );
    const connectors = fc.array(
      fc.record({
        direction: fc.constantFrom<Direction>('incoming', 'outgoing', 'both'),
        addresses: fc.array(pattern.map(routingKey), { maxLength: 4 }),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(connectors, fc.constantFrom('c0', null), address, (some, gateway, from) => {
        const all = some.map((each, at) => ({ id: `c${at}`, ...each }));
        expect(resolve(buildRouteTable(all, gateway), from)).toMatchObject(naive(all, gateway, from));
      }),
    );
  });

  test('looks up twice, whether there are ten connectors or 10,000', () => {
    for (const count of [10, 10_000]) {
      const many = Array.from({ length: count }, (_, at) => connector(`c${at}`, 'both', `a${at}@d${at}.example`));
      const { table: counted, lookUps } = counting(buildRouteTable(many, 'c0'));
      expect(resolve(counted, `A7@d7.example`).connector).toBe('c7');
      expect(resolve(counted, 'x@nowhere.example').rule).toBe('default');
      expect(lookUps()).toBe(4);
    }
  });
});

describe('explain', () => {
  test('answers with the address as it was asked for, its route, and who was passed over', () => {
    expect(explain(table, 'Sales@Example.com')).toEqual({
      from: 'Sales@Example.com',
      connector: 'sales',
      rule: 'exact',
      passedOver: [],
    });
  });
});

function naive(connectors: readonly Connector[], gateway: string | null, from: string) {
  const key = routingKey(from);
  const domain = `*@${key.slice(key.lastIndexOf('@') + 1)}`;
  const find = (pattern: string) => connectors.find((c) => sends(c.direction) && c.addresses.includes(pattern))?.id;
  const exact = find(key);
  if (exact !== undefined) return { connector: exact, rule: 'exact' };
  const byDomain = find(domain);
  if (byDomain !== undefined) return { connector: byDomain, rule: 'domain' };
  return { connector: gateway, rule: gateway === null ? 'none' : 'default' };
}

/** The same table, with look-ups by key counted and every other way to read its maps refused. */
function counting(table: RouteTable): { table: RouteTable; lookUps: () => number } {
  let lookUps = 0;
  const count = <V>(map: ReadonlyMap<string, V>): ReadonlyMap<string, V> =>
    new Proxy(map, {
      get: (target, property) => {
        if (property !== 'get') throw new Error(`reads ${String(property)} of a map`);
        lookUps += 1;
        return target.get.bind(target);
      },
    });
  return { table: { ...table, exact: count(table.exact), domain: count(table.domain) }, lookUps: () => lookUps };
}
