/** A message enters its lane together with its ledger row: one step, so that there is neither without the other. */
import type { JobsOptions } from 'bullmq';
import type { LaneJob, Routed } from '../jobs.ts';
import {
  idStatusOf,
  openEntry,
  routedEntry,
  rowFields,
  type IdStatus,
  type Ledger,
  type NewRow,
} from '../ledger/ledger.ts';
import type { Location } from '../ledger/location.ts';
import { bind } from '../lua/script.ts';
import { jobIdOf } from '../redis/job-ids.ts';
import { intakeName, jobName, laneName } from '../redis/keys.ts';
import type { LaneContext } from './context.ts';
import { moveScript } from './move-script.ts';
import { enterLua } from './scripts.ts';

export interface LaneEntry {
  /** A lane job, or what it is once it is sealed. */
  readonly data: LaneJob | Readonly<Record<string, unknown>>;
  readonly opts: JobsOptions;
}

/**
 * Puts a message into a lane, with its row in the ledger. Does nothing if the id has a row already, but for one that waits to be
 * routed again, if `requeued` says that it may. → what there was: `new` means that it is done.
 *
 * Over several shards the location is written first and the row then (see location.ts); each turn of the loop brings the
 * message a step nearer.
 */
export async function enterLane(
  context: LaneContext,
  { ledger, location }: { readonly ledger: Pick<Ledger, 'idStatus'>; readonly location: Location },
  connectorId: string,
  entry: LaneEntry,
  row: NewRow,
  requeued: boolean,
): Promise<IdStatus> {
  const { shards } = context;
  if (shards.all.length === 1) return enterHere(context, connectorId, entry, row, requeued);
  const to = shards.of(connectorId);
  for (;;) {
    const place = await location.claim(row.id, '', to, null, row.deadline);
    const { shard, from } = place;
    if (from !== null && !(await location.move(row.id, from, shard))) return ledger.idStatus(row.id, from);
    if (shard === to) return enterHere(context, connectorId, entry, row, requeued);
    const status = await ledger.idStatus(row.id, shard);
    if (status.kind === 'in-use' || (status.kind === 'requeued' && !requeued)) return status;
    await location.claim(row.id, place.at, to, shard, row.deadline);
  }
}

async function enterHere(
  { queue, shared, shardKeys, laneKeys, notes }: LaneContext,
  connectorId: string,
  { data, opts }: LaneEntry,
  row: NewRow,
  requeued: boolean,
): Promise<IdStatus> {
  const { id, deadline } = row;
  const keys = shardKeys(connectorId);
  const { unsettled, ready, lanes, wake, ledger } = keys;
  const addOn = bind(enterLua, {
    keys: { rowKey: ledger(id), unsettled, ready, lanes, ...laneKeys(connectorId) },
    args: {
      id,
      deadline,
      entry: routedEntry(row),
      connector: connectorId,
      channel: wake,
      requeued: requeued ? 1 : 0,
      journal: notes.ofRow(keys, row),
    },
    moreArgs: rowFields(row),
  });
  const job = { name: jobName, data, opts: { ...opts, jobId: jobIdOf(id) } };
  const answer = await shared(connectorId).addWith(queue(connectorId), job, addOn);
  if (answer === 'ok') return { kind: 'new' };
  const [state, routed, via, routedDeadline] = answer as (string | undefined)[];
  return idStatusOf(state, routed, via, routedDeadline);
}

/** `going`: it is in the lane under the caller's token, and its attempt is open. */
export type Moved = IdStatus | { readonly kind: 'lost' } | { readonly kind: 'kept' } | { readonly kind: 'going' };

/** A worker that can send the message now: of its job's lock in the lane, and of the attempt. */
export interface DirectEntry {
  readonly token: string;
  readonly lockMs: number;
  readonly at: number;
  readonly worker: string;
  /** The recipients were looked for on the suppression list. */
  readonly looked?: boolean;
  /** The trace context of the attempt. */
  readonly trace?: string | undefined;
}

/** A job of the intake that was taken under this token. */
export interface MovedJob {
  readonly jobId: string;
  readonly token: string;
  /** Takes the place of its data, which has to be sealed. Default: it stays as it is. */
  readonly data?: string;
}

/**
 * The same for a job of the intake that is to go into its lane as it is, which ends it in the intake: its data crosses no wire. → `lost`:
 * the job is not the caller's any more. `announce`: idle processes hear of it. `kept`: nothing was done, and it is for `enterLane`; so it always is over several shards, as
 * a key stays in its slot. `direct`: the caller would send it at once, if none in the lane waits and nothing holds it (`going`).
 */
export async function moveIntoLane(
  { shards, runIn, laneKeys, notes }: LaneContext,
  { jobId, token, data = '' }: MovedJob,
  routing: Routed,
  priority: number,
  row: NewRow,
  announce: boolean,
  direct: DirectEntry | null = null,
): Promise<Moved> {
  if (shards.all.length > 1) return { kind: 'kept' };
  const { id, deadline } = row;
  const { connector } = routing;
  const { home } = shards;
  const lane = laneName(connector);
  const laneJobId = jobIdOf(id);
  const answer = await runIn(0)(moveScript, {
    keys: {
      rowKey: home.ledger(id),
      unsettled: home.unsettled,
      ready: home.ready,
      lanes: home.lanes,
      ...laneKeys(connector),
      pc: home.queue(lane, 'pc'),
      marker: home.queue(lane, 'marker'),
      laneJob: home.queue(lane, laneJobId),
      intakeJob: home.queue(intakeName, jobId),
      intakeActive: home.queue(intakeName, 'active'),
      intakeStalled: home.queue(intakeName, 'stalled'),
      faults: home.connector(connector),
      attribution: home.attribution(connector),
      waitReason: home.connectorWait(connector),
      suppressions: home.suppressions,
    },
    args: {
      id,
      deadline,
      entry: routedEntry(row),
      connector,
      channel: announce ? home.wake : '',
      intakeId: jobId,
      jobId: laneJobId,
      token,
      routing: JSON.stringify(routing),
      acceptedAt: routing.acceptedAt,
      priority,
      journal: notes.ofRow(home, row),
      direct: direct?.token ?? '',
      open: direct === null ? '' : openEntry(direct),
      at: direct?.at ?? '',
      lockMs: direct?.lockMs ?? '',
      looked: direct?.looked === true ? 1 : '',
      data,
    },
    moreArgs: rowFields(row),
  });
  if (answer === 'go') return { kind: 'going' };
  if (answer === 'ok') return { kind: 'new' };
  if (answer === 'lost') return { kind: 'lost' };
  if (answer === 'kept') return { kind: 'kept' };
  const [state, routed, via, routedDeadline] = answer as (string | undefined)[];
  return idStatusOf(state, routed, via, routedDeadline);
}
