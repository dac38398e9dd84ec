/** Which messages of a connector at fault go by which other connector in one round: those in front, and those behind mail that may not go. */
import type { FaultState, Movable } from '../../queue/lanes/lanes.ts';
import type { Fallback } from '../../routing/connector.ts';
import { mayStandIn } from '../../routing/fallback.ts';
import type { ConnectorConfig } from '../settings.ts';
import { moveAll, type MoveTools } from './move.ts';
import { keptOf, type Capacity, type Stage } from './stage.ts';

/** Messages of one connector that one round moves at most, or one script on the way back. */
export const mostAtOnce = 100;
/** Messages that one script looks at, at most (`peek`). */
const mostLookedAt = 500;

/** A connector whose mail is to go by others now. */
export interface Source {
  readonly connector: ConnectorConfig;
  readonly fallback: Fallback;
  readonly state: FaultState;
  readonly stage: Stage;
}

/**
 * Moves messages of a connector to those that stand in for it. `sharers`: how many connectors come to what room is left. `looked`: of each
 * lane the place up to which nothing may go; it begins anew at the end of the lane, so what has come in before it is seen, too.
 */
export async function divert(
  source: Source,
  targets: Map<string, Capacity>,
  sharers: number,
  now: number,
  looked: Map<string, number>,
  tools: MoveTools,
): Promise<boolean> {
  const { connector, fallback, state, stage } = source;
  const { id } = connector;
  const lane = tools.lanes.fallback;
  const room = fallback.to.reduce((sum, to) => sum + (targets.get(to)?.room ?? 0), 0);
  const share = Math.min(mostAtOnce, Math.ceil(room / sharers));
  if (share === 0) return false;
  const kept = keptOf(state, stage, now);
  const byTarget = new Map<string, string[]>();
  /** → how many have a target now. */
  const choose = (found: readonly Movable[], most: number): number => {
    let chosen = 0;
    for (const movable of found) {
      if (chosen === most) break;
      const to = targetFor(movable, fallback.to, targets, tools);
      if (to === null) continue;
      const target = targets.get(to)!;
      targets.set(to, { ...target, room: target.room - 1 });
      byTarget.set(to, [...(byTarget.get(to) ?? []), movable.jobId]);
      chosen += 1;
    }
    return chosen;
  };
  const front = await lane.peek(id, kept, share, now);
  const chosen = choose(front.found, share);
  if (chosen === share || front.looked === 0) looked.delete(id);
  else {
    // What is in front may not go, or not now: it must not hold up what is behind it.
    const place = Math.max(looked.get(id) ?? 0, front.looked);
    const behind = await lane.peek(id, kept + place, mostLookedAt, now);
    const more = choose(behind.found, share - chosen);
    if (behind.looked === 0) looked.delete(id);
    // Where some go, others may stand between them; what was in front of this place and goes now is no more there.
    else looked.set(id, Math.max(0, (more > 0 ? place : place + behind.looked) - chosen));
  }
  const { fault } = state;
  const why = fault === null ? 'has just recovered' : `is at fault: ${fault.kind}: ${fault.reply}`;
  let moved = 0;
  for (const [to, jobIds] of byTarget) {
    const move = { kind: 'out', from: id, to, rule: 'fallback' } as const;
    moved += await moveAll(move, jobIds, `${id} ${why}`, tools);
  }
  return moved > 0;
}

/** The first one that can take it. One that works and is full is waited for. */
function targetFor(
  { from }: Movable,
  ids: readonly string[],
  targets: ReadonlyMap<string, Capacity>,
  { routing }: MoveTools,
): string | null {
  const { senders, config } = routing();
  for (const id of ids) {
    const [connector, target] = [senders.get(id), targets.get(id)];
    if (connector === undefined || target === undefined || from === null) continue;
    if (!mayStandIn(connector, from, config.systemDefaultGateway)) continue;
    if (target.room > 0) return id;
    if (target.works) return null;
  }
  return null;
}
