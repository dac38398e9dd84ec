/** Rules about fallbacks: whom a connector may not name, loops, and those that may not send for its addresses. */
import { matchesPattern } from '../message/address.ts';
import { sends } from '../routing/connector.ts';
import { everyAddress, loopFrom } from '../routing/fallback.ts';
import { fallbackPattern } from './fallback-keys.ts';
import type { ConfigRule, Path, Problem } from './issues.ts';
import type { PartialConnector } from './partial-connector.ts';
import { nearest } from './suggest.ts';
import { valueAt } from './validate.ts';

interface Written {
  readonly id: string;
  readonly path: Path;
}

/** As far as they can be read. */
function written(data: Record<string, unknown>, { path }: PartialConnector): Written[] {
  const at = [...path, 'fallback'];
  const value = valueAt(data, at);
  if (typeof value === 'string') return [{ id: value, path: at }];
  if (!Array.isArray(value)) return [];
  return (value as unknown[]).flatMap((id, i) => (typeof id === 'string' ? [{ id, path: [...at, i] }] : []));
}

export function fallbackProblems(data: Record<string, unknown>, connectors: readonly PartialConnector[]): Problem[] {
  const byId = new Map(connectors.map((connector) => [connector.id, connector]));
  const idsOf = (id: string): string[] => {
    const connector = byId.get(id);
    return connector === undefined ? [] : written(data, connector).map((each) => each.id);
  };
  return connectors.flatMap((connector) => {
    const { id, direction, path } = connector;
    const named = written(data, connector);
    const never =
      named.length > 0 && direction !== null && !sends(direction)
        ? problem(
            [...path, 'fallback'],
            'fallback-incoming',
            'has no effect: the connector never sends; remove it',
            'key',
          )
        : [];
    const loop = loopFrom(id, idsOf);
    return [
      ...never,
      ...named.flatMap((each) => whyNot(each, connector, byId)),
      ...(loop !== null && loop.length > 2
        ? problem(
            [...path, 'fallback'],
            'fallback-loop',
            `leads back to it: ${loop.join(' → ')}; remove one of them`,
            'key',
          )
        : []),
      ...named.flatMap((each) => unfit(each, connector, byId, data)),
    ];
  });
}

function problem(path: Path, rule: ConfigRule, message: string, on: Problem['on'] = 'value'): Problem[] {
  return [{ path, rule, message, on }];
}

function whyNot(
  { id, path }: Written,
  connector: PartialConnector,
  byId: ReadonlyMap<string, PartialConnector>,
): Problem[] {
  if (id === connector.id) return problem(path, 'fallback-loop', 'is the connector itself; name another one');
  const found = byId.get(id);
  if (found === undefined) {
    const near = nearest(id, [...byId.keys()]);
    return problem(
      path,
      'fallback-unknown',
      `is not a connector; ${near === null ? 'name one of the connectors' : `did you mean ${near}?`}`,
    );
  }
  return found.direction !== null && !sends(found.direction)
    ? problem(path, 'fallback-incoming', 'is an incoming connector, which never sends; name one that sends')
    : [];
}

/** An address of the connector that this fallback may not send for. */
function unfit(
  { id, path }: Written,
  connector: PartialConnector,
  byId: ReadonlyMap<string, PartialConnector>,
  data: Record<string, unknown>,
): Problem[] {
  const found = byId.get(id);
  if (found === undefined || found.unclear || found === connector || id === data['systemDefaultGateway']) return [];
  const more = valueAt(data, [...found.path, 'fallbackFor']);
  const extra = (Array.isArray(more) ? (more as unknown[]) : []).flatMap((each) => {
    const read = fallbackPattern.safeParse(each);
    return read.success ? [read.data] : [];
  });
  const patterns = new Set([...found.patterns.map((each) => each.pattern), ...extra]);
  if (patterns.size === 0 || patterns.has(everyAddress)) return [];
  const missing = connector.patterns.find(({ pattern: own }) =>
    own.startsWith('*@') ? !patterns.has(own) : !matchesPattern(patterns, own),
  );
  if (missing === undefined) return [];
  const message = `may not send for all addresses of ${connector.id}, whose mail then waits; add them to ${id}.fallbackFor`;
  return problem(path, 'fallback-unfit', message);
}

/** The connectors that some other one names. */
export function namedAsFallback(data: Record<string, unknown>, connectors: readonly PartialConnector[]): Set<string> {
  return new Set(connectors.flatMap((connector) => written(data, connector).map(({ id }) => id)));
}
