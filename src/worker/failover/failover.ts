/**
 * Failover: the mail of a connector at fault goes by the next connector that may send for its From, and comes back by itself.
 *
 * A message moves between lanes before its fence, and only while no attempt of it is open and none was ever uncertain: so no recipient can
 * have a copy that the ledger does not know of. In the other lane all limits of that connector hold; it has few messages of others at a time.
 * One process does this at a time; what it has decided is in Redis, and the next one goes on.
 */
import { sleep } from '../../async/timeout.ts';
import { asError, printable } from '../../errors.ts';
import type { FallbackRoom, FaultState, Guest } from '../../queue/lanes/lanes.ts';
import { divert, mostAtOnce, type Source } from './divert.ts';
import { moveAll, type MoveTools } from './move.ts';
import { capacityOf, isBlocked, mayDivert, stageOf, type Capacity } from './stage.ts';
import type { Listener } from '../events.ts';

export interface FailoverTools extends MoveTools {
  /** Name of the process. */
  readonly worker: string;
  readonly random: () => number;
  readonly failoverMs: number;
  readonly returnMs: number;
}

export interface Failover {
  /** Looks at all connectors with a fallback, unless another process does. → whether messages were moved. */
  round(): Promise<boolean>;
  /** Leaves the task to another process. */
  end(): Promise<void>;
}

/** So many rounds a process that says nothing keeps the task. */
const leaseRounds = 5;
/** In one of so many rounds, and after a reload, all connectors are looked at: one may have mail of another that it is no fallback of any more. */
const allRounds = 60;

export function createFailover(tools: FailoverTools): Failover {
  const { lanes } = tools;
  /** Of lanes in which much may not move: the place from which the next round looks on. */
  const looked = new Map<string, number>();
  let leads = false;
  /** The configuration that was in force when all connectors were looked at last, and how many rounds ago that was. */
  let seen: { readonly senders: unknown; rounds: number } = { senders: null, rounds: 0 };

  const round = async (): Promise<boolean> => {
    const { senders } = tools.routing();
    const asked = [...senders.values()].filter(({ fallback }) => (fallback?.to.length ?? 0) > 0);
    seen.rounds += 1;
    const isOfAll = seen.senders !== senders || seen.rounds >= allRounds;
    if (asked.length === 0 && !isOfAll) return false;
    leads = await lanes.fallback.lead(tools.worker, leaseRounds * tools.failoverMs);
    if (!leads) return false;
    const some = asked.flatMap(({ id, fallback }) => [id, ...(fallback?.to ?? [])]);
    const { now, states } = await lanes.fallback.states([...(isOfAll ? senders.keys() : new Set(some))]);
    if (isOfAll) seen = { senders, rounds: 0 };
    let moved = false;
    for (const { connector, guests } of states) {
      if (guests > 0 && (await ofOne(connector, tools, () => recall(connector, tools)))) moved = true;
    }
    const sources = await noteStages(states, now, tools);
    const targets = await targetsOf(sources, tools);
    // In an order of its own each time: where room is short, all come to it.
    const order = sources.map((source) => ({ source, place: tools.random() })).sort((a, b) => a.place - b.place);
    for (const [i, { source }] of order.entries()) {
      const work = () => divert(source, targets, order.length - i, now, looked, tools);
      if (await ofOne(source.connector.id, tools, work)) moved = true;
    }
    return moved;
  };
  return {
    round,
    async end() {
      if (leads) await lanes.fallback.endLead(tools.worker);
    },
  };
}

/** What fails at one connector is reported, and does not end the round of the others. → null if it failed. */
async function ofOne<Result>(
  connector: string,
  { emit }: FailoverTools,
  work: () => Promise<Result>,
): Promise<Result | null> {
  try {
    return await work();
  } catch (thrown) {
    const { code, message } = asError(thrown) as NodeJS.ErrnoException;
    const detail = printable(code === undefined ? message : `${code}: ${message}`, 500);
    emit({ event: 'error', id: null, where: `failover of ${connector}`, detail });
    return null;
  }
}

/** While messages are moved, the next look comes so much sooner. */
const soonerBy = 5;

/** A round that fails is reported; the next one follows all the same. */
export async function failOverUntil(
  signal: AbortSignal,
  everyMs: number,
  failover: Failover,
  suspended: () => boolean,
  emit: Listener,
): Promise<void> {
  while (!signal.aborted) {
    let moved = false;
    try {
      if (!suspended()) moved = await failover.round();
    } catch (thrown) {
      emit({ event: 'error', id: null, where: 'failover', detail: printable(asError(thrown).message, 500) });
    }
    await sleep(moved ? everyMs / soonerBy : everyMs, signal);
  }
}

/** Writes down what has changed. → the connectors whose mail is to go by others. */
async function noteStages(states: readonly FaultState[], now: number, tools: FailoverTools): Promise<Source[]> {
  const sources: Source[] = [];
  for (const state of states) {
    const source = await ofOne(state.connector, tools, () => noteStage(state, now, tools));
    if (source !== null) sources.push(source);
  }
  return sources.filter(({ state }) => mayDivert(state));
}

async function noteStage(state: FaultState, now: number, tools: FailoverTools): Promise<Source | null> {
  const { lanes, emit } = tools;
  const connector = tools.routing().senders.get(state.connector);
  const fallback = connector?.fallback ?? null;
  if (connector === undefined) return null;
  if (fallback === null || fallback.to.length === 0) {
    if (state.record !== null) await endOf(connector.id, state.record.to, state.fault, tools);
    return null;
  }
  const stage = stageOf(state, fallback, now, tools.returnMs);
  const { fault, record, sent } = state;
  const to = fallback.to.join(', ');
  const about = { to, fault: fault?.kind ?? '', reply: fault?.reply ?? '' };
  switch (stage) {
    case 'own':
    case 'waits':
      break;
    case 'away': {
      const kind = record === null ? 'began' : 'goes-on';
      if (!(await lanes.fallback.note(connector.id, { kind, ...about, healthy: null }))) break;
      if (record === null) emit({ event: 'fallback-began', connector: connector.id, ...about });
      return { connector, fallback, state, stage };
    }
    case 'trial': {
      const healthy = record?.healthy ?? { at: now, sent };
      if (!(await lanes.fallback.note(connector.id, { kind: 'goes-on', ...about, healthy }))) break;
      return { connector, fallback, state, stage };
    }
    case 'over':
      await endOf(connector.id, to, fault, tools);
      break;
  }
  return null;
}

async function endOf(connector: string, to: string, fault: FaultState['fault'], tools: FailoverTools): Promise<void> {
  const about = { to, fault: fault?.kind ?? '', reply: fault?.reply ?? '', healthy: null };
  await tools.lanes.fallback.note(connector, { kind: 'ended', ...about });
  tools.emit({ event: 'fallback-ended', connector, to });
}

/** What each connector that stands in can take now. */
async function targetsOf(sources: readonly Source[], tools: FailoverTools): Promise<Map<string, Capacity>> {
  const { lanes, routing } = tools;
  const { senders } = routing();
  const targets = new Map<string, Capacity>();
  for (const id of new Set(sources.flatMap(({ fallback }) => fallback.to))) {
    const connector = senders.get(id);
    if (connector === undefined) continue;
    const room = await ofOne(id, tools, () => lanes.fallback.room(id));
    if (room !== null) targets.set(id, capacityOf(room, connector.limits));
  }
  return targets;
}

/**
 * What a connector has of others goes back to where it came from: what it cannot send now, or cannot carry, and what is of a connector that it
 * does not stand in for any more.
 */
async function recall(connectorId: string, tools: FailoverTools): Promise<boolean> {
  const room: FallbackRoom = await tools.lanes.fallback.room(connectorId);
  const blocked = isBlocked(room);
  const { senders } = tools.routing();
  let moved = 0;
  const giveBack = async (of: string, guests: readonly Guest[], rule: 'kept' | 'returned', why: string) => {
    const move = { kind: 'back', from: connectorId, to: of, rule } as const;
    // Each goes to the front, so the first one comes last.
    const jobIds = guests
      .filter((guest) => guest.of === of)
      .map(({ jobId }) => jobId)
      .toReversed();
    for (let i = 0; i < jobIds.length; i += mostAtOnce) {
      moved += await moveAll(move, jobIds.slice(i, i + mostAtOnce), why, tools);
    }
  };
  for (const of of new Set([...room.guests, ...room.deferred, ...room.unfit].map((guest) => guest.of))) {
    const own = senders.get(of);
    if (own === undefined) continue;
    const standsIn = own.fallback?.to.includes(connectorId) ?? false;
    const late = [...room.unfit, ...(standsIn ? [] : room.deferred)].filter((guest) => guest.of === of);
    if (late.length > 0)
      await tools.lanes.fallback.hasten(
        connectorId,
        late.map(({ jobId }) => jobId),
      );
    await giveBack(of, room.unfit, 'kept', `${connectorId} cannot carry it`);
    if (!standsIn) {
      const why = `${connectorId} is no fallback of it any more`;
      await giveBack(of, [...room.guests, ...room.deferred], 'returned', why);
    } else if (blocked) await giveBack(of, room.guests, 'returned', `${connectorId} cannot send either`);
  }
  return moved > 0;
}
