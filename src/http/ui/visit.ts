/** What a page is made of and for: who looks, what they may do, and the state of the installation that every page shows in its frame. */
import type { ConnectorPage } from '../../admin/connectors.ts';
import type { ConnectorState } from '../../admin/trouble.ts';
import type { Operator } from '../../admin/operator.ts';
import type { Stats } from '../../admin/stats.ts';
import type { ApiToken } from '../../config/api.ts';
import type { Scope } from '../../config/scopes.ts';
import type { Tools } from '../api/route.ts';
import { hasScope } from '../api/access.ts';
import type { Asker } from './perform.ts';
import { remembered } from './remembered.ts';
import { hrefOf, type Counts, type FleetLine, type Place } from './layout.ts';
import type { Content, Viewpoint } from './parts.ts';

export interface Visit extends Viewpoint {
  readonly token: ApiToken;
  readonly tools: Tools;
  readonly operator: Operator;
  readonly asker: Asker;
  /** Stands in each form. */
  readonly csrf: string;
  readonly url: URL;
  readonly can: (scope: Scope) => boolean;
  readonly glance: () => Promise<Stats>;
  readonly worst: () => Promise<ConnectorPage>;
}

export interface Shown {
  readonly title: string;
  readonly place: Place | null;
  readonly main: Content;
  readonly status?: number;
}

/** `params`: parts of the path. */
export type Page = (visit: Visit, params: readonly string[]) => Promise<Shown>;

const heldUp: readonly ConnectorState[] = ['fault', 'suspect', 'quota', 'paused', 'slowed', 'retrying'];

export function isHeldUp(state: ConnectorState): boolean {
  return heldUp.includes(state);
}

export function heldUpIn(states: Readonly<Partial<Record<ConnectorState, number>>>): number {
  return heldUp.reduce((sum, state) => sum + (states[state] ?? 0), 0);
}

/** Which scope a place needs. */
const placeScopes: Readonly<Record<Place, Scope>> = {
  overview: 'connectors:read',
  connectors: 'connectors:read',
  messages: 'messages:read',
  'dead-letters': 'dead:read',
  routes: 'connectors:read',
  events: 'messages:read',
  webhooks: 'connectors:read',
  submission: 'connectors:read',
  suppressions: 'suppressions:write',
  operations: 'dead:write',
  audit: 'audit:read',
};

export function scopeOf(place: Place): Scope {
  return placeScopes[place];
}

/** The first page that the token may open. */
export function firstPlace(token: ApiToken): string {
  const [first = 'overview'] = placesFor(token);
  return hrefOf(first);
}

export function placesFor(token: ApiToken): ReadonlySet<Place> {
  const all = Object.entries(placeScopes) as [Place, Scope][];
  return new Set(all.filter(([, scope]) => hasScope(token, scope)).map(([place]) => place));
}

const dayMs = 86_400_000;
/** The state of the installation, read once for all pages of this process. Rejects while Redis is away. */
export function createGlance({ operator, config, now }: Tools): Visit['glance'] {
  return remembered(async (at) => (await operator()).stats(config(), at - dayMs), now);
}

/** The connectors in the worst trouble, for the overview. */
export function createWorst({ operator, config, now }: Tools): Visit['worst'] {
  const asked = { sort: 'trouble', after: null, limit: mostWorst } as const;
  return remembered(async () => (await operator()).connectors(config(), asked), now);
}

const mostWorst = 40;

export function countsOf(stats: Stats | null, can: Visit['can']): Counts {
  if (stats === null) return { heldUp: null, deadLetters: null, operations: null };
  return {
    heldUp: heldUpIn(stats.connectors),
    deadLetters: can('dead:read') ? stats.deadLetters : null,
    operations: stats.operations,
  };
}

export function fleetOf(stats: Stats | null, state: ReturnType<Tools['configState']>): FleetLine {
  const base = { configuredAt: state.appliedAt, configurationRejected: state.rejectedAt !== null };
  if (stats === null) return { ...base, reachable: false, redis: null, workers: 0, sending: 0, slots: 0 };
  const { redis, workers, slots, slotsBusy } = stats;
  const memory = redis === null ? null : { usedBytes: redis.usedBytes, maxBytes: redis.maxBytes || null };
  return { ...base, reachable: true, redis: memory, workers: workers.length, sending: slotsBusy, slots };
}
