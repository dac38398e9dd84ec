/**
 * Connectors as an operator sees them: what each waits for and until when, its faults, its limits and their use. The list is sorted by
 * trouble, and costs one survey of all lanes and the details of one page.
 */
import { unreachable } from '../errors.ts';
import type { LaneSurvey } from '../queue/lanes/survey.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import type { Quota } from '../queue/lanes/quota.ts';
import type { AdminConfig, ConfiguredConnector } from './admin-config.ts';
import { serverOf } from '../transport/proxy.ts';
import { rowOf, usedOf, type ConnectorRow } from './connector-row.ts';
import type { Deadlines } from './deadlines.ts';
import { stateOf, troubleOf, type ConnectorState } from './trouble.ts';

export const connectorSorts = ['trouble', 'waiting', 'id'] as const;
type ConnectorSort = (typeof connectorSorts)[number];

export interface ConnectorsAsked {
  readonly state?: ConnectorState;
  readonly direction?: ConfiguredConnector['direction'];
  readonly transport?: 'smtp' | 'graph';
  /** A part of an id, an address or a server. */
  readonly text?: string;
  readonly sort: ConnectorSort;
  /** Behind this one. */
  readonly after: ConnectorPlace | null;
  readonly limit: number;
}

/** A place in a sorted list: it holds while the list changes. */
export interface ConnectorPlace {
  readonly key: number;
  readonly second: number;
  readonly id: string;
}

export interface ConnectorPage {
  readonly items: readonly ConnectorRow[];
  readonly next: ConnectorPlace | null;
  /** Connectors that fit the filter. */
  readonly count: number;
  /** Of all connectors, whatever the filter. */
  readonly states: Readonly<Partial<Record<ConnectorState, number>>>;
}

export interface ConnectorTools {
  readonly lanes: Pick<Lanes, 'known' | 'survey' | 'status'>;
  readonly quota: Pick<Quota, 'used'>;
  readonly deadlines: Deadlines;
}

interface Entry {
  readonly id: string;
  readonly configured: ConfiguredConnector | null;
  readonly lane: LaneSurvey | null;
  readonly state: ConnectorState;
}

export async function listConnectors(
  tools: ConnectorTools,
  config: AdminConfig,
  asked: ConnectorsAsked,
  now: number,
): Promise<ConnectorPage> {
  const entries = await entriesOf(tools, config);
  const states: Partial<Record<ConnectorState, number>> = {};
  for (const { state } of entries) states[state] = (states[state] ?? 0) + 1;
  const wanted = entries.filter((entry) => fits(entry, asked));
  const placed = wanted
    .map((entry) => ({ entry, place: placeOf(entry, asked.sort) }))
    .sort((a, b) => compare(a.place, b.place));
  const { after } = asked;
  const rest = after === null ? placed : placed.filter(({ place }) => compare(place, after) > 0);
  const shown = rest.slice(0, asked.limit);
  const items = await rowsOf(
    tools,
    config,
    shown.map(({ entry }) => entry),
    now,
  );
  const next = rest.length > shown.length ? (shown.at(-1)?.place ?? null) : null;
  return { items, next, count: wanted.length, states };
}

/** One of them; null if it is neither configured nor has messages. */
export async function readConnector(
  tools: ConnectorTools,
  config: AdminConfig,
  id: string,
  now: number,
): Promise<ConnectorRow | null> {
  const configured = config.connectors.find((connector) => connector.id === id) ?? null;
  if (configured === null && !(await tools.lanes.known()).includes(id)) return null;
  const [row] = await rowsOf(tools, config, [{ id, configured }], now);
  if (row === undefined) return null;
  return configured === null && row.waiting + row.active + row.delayed === 0 ? null : row;
}

async function entriesOf({ lanes }: ConnectorTools, { connectors }: AdminConfig): Promise<Entry[]> {
  const configured = new Map(connectors.map((connector) => [connector.id, connector]));
  const known = await lanes.known();
  const surveyed = new Map(
    (await lanes.survey(known)).flatMap((lane) => (lane === null ? [] : [[lane.connectorId, lane] as const])),
  );
  // A lane outlives its connector; without messages it does not matter.
  const strange = known.filter((id) => {
    const lane = surveyed.get(id);
    return !configured.has(id) && lane !== undefined && lane.waiting + lane.active + lane.delayed > 0;
  });
  return [...configured.keys(), ...strange].map((id) => {
    const connector = configured.get(id) ?? null;
    const lane = surveyed.get(id) ?? null;
    return { id, configured: connector, lane, state: stateOf(lane, connector?.direction ?? null) };
  });
}

function fits({ id, configured, state }: Entry, asked: ConnectorsAsked): boolean {
  if (asked.state !== undefined && state !== asked.state) return false;
  if (asked.direction !== undefined && configured?.direction !== asked.direction) return false;
  if (asked.transport !== undefined && configured?.transport?.kind !== asked.transport) return false;
  if (asked.text === undefined) return true;
  const text = asked.text.toLowerCase();
  return [id, ...(configured?.addresses ?? []), serverOf(configured) ?? ''].some((each) =>
    each.toLowerCase().includes(text),
  );
}

function placeOf({ id, lane, state }: Entry, sort: ConnectorSort): ConnectorPlace {
  switch (sort) {
    case 'trouble':
      return { key: -troubleOf(state), second: lane?.oldestWaitingAt ?? Number.MAX_SAFE_INTEGER, id };
    case 'waiting':
      return { key: -((lane?.waiting ?? 0) + (lane?.delayed ?? 0)), second: 0, id };
    case 'id':
      return { key: 0, second: 0, id };
    default:
      return unreachable(sort);
  }
}

function compare(a: ConnectorPlace, b: ConnectorPlace): number {
  return a.key - b.key || a.second - b.second || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

async function rowsOf(
  { lanes, quota, deadlines }: ConnectorTools,
  config: AdminConfig,
  entries: readonly Pick<Entry, 'id' | 'configured'>[],
  now: number,
): Promise<ConnectorRow[]> {
  const statuses = await Promise.all(entries.map(({ id }) => lanes.status(id)));
  const busy = entries.filter((_, i) => {
    const { waiting, active, delayed } = statuses[i]!;
    return waiting + active + delayed > 0;
  });
  const [used, firsts] = await Promise.all([
    Promise.all(entries.map(({ id, configured }) => usedOf(id, configured?.limits ?? null, quota))),
    deadlines.of(busy.map(({ id }) => id)),
  ]);
  return entries.map(({ id, configured }, i) => {
    const first = firsts.get(id) ?? null;
    return rowOf(
      id,
      configured,
      statuses[i]!,
      { used: used[i]!, first, isDefault: config.systemDefaultGateway === id },
      now,
    );
  });
}
