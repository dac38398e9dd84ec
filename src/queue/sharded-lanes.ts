/** The lanes over several shards: each connector's in its own; what is due is asked for in all, in turn. */
import type { Lanes } from './lanes/lanes.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { Placement } from './ledger/location.ts';
import type { Shards } from './redis/shards.ts';

export function shardLanes(
  lanes: readonly Lanes[],
  ledgers: readonly Ledger[],
  shards: Shards,
  placement: Placement,
): Lanes {
  const of = (connectorId: string): Lanes => lanes[shards.of(connectorId)]!;
  let turn = 0;
  return {
    queue: (connectorId) => of(connectorId).queue(connectorId),
    pass: (connectorId) => of(connectorId).pass(connectorId),
    passedAt: (connectorId) => of(connectorId).passedAt(connectorId),
    refresh: (connectorId, ...rest) => of(connectorId).refresh(connectorId, ...rest),
    setLimits: (connectorId, limits) => of(connectorId).setLimits(connectorId, limits),
    pause: (connectorId) => of(connectorId).pause(connectorId),
    resume: (connectorId) => of(connectorId).resume(connectorId),
    forgive: (connectorId) => of(connectorId).forgive(connectorId),
    postpone: (connectorId, ...rest) => of(connectorId).postpone(connectorId, ...rest),
    requota: (connectorId) => of(connectorId).requota(connectorId),
    fault: (connectorId, fault) => of(connectorId).fault(connectorId, fault),
    status: (connectorId) => of(connectorId).status(connectorId),
    known: async () => [...new Set((await Promise.all(lanes.map((each) => each.known()))).flat())],

    async look(connectorIds) {
      const looks = lanes.map((each, i) => each.look(connectorIds.filter((id) => shards.of(id) === i)));
      return (await Promise.all(looks)).flat();
    },

    /** Equal shares first, all at once; then what some left goes to those who have more. Another one begins each time. */
    async claim(count, visibilityMs, except) {
      turn += 1;
      const order = lanes.map((_, i) => lanes[(turn + i) % lanes.length]!);
      const shares = order.map((_, i) => Math.floor(count / order.length) + (i < count % order.length ? 1 : 0));
      const claims = await Promise.all(
        order.map(async (each, i) => (shares[i] === 0 ? null : each.claim(shares[i]!, visibilityMs, except))),
      );
      const connectors = claims.flatMap((claim) => claim?.connectors ?? []);
      for (const [i, each] of order.entries()) {
        const before = claims[i];
        if (connectors.length >= count) break;
        if (before !== null && before?.left === 0) continue;
        const more = await each.claim(count - connectors.length, visibilityMs, except);
        connectors.push(...more.connectors);
        claims[i] = more;
      }
      const asked = claims.flatMap((claim) => claim ?? []);
      const waits = asked.flatMap(({ waitMs }) => (waitMs < 0 ? [] : [waitMs]));
      return {
        connectors,
        waitMs: waits.length === 0 ? -1 : Math.min(...waits),
        left: asked.reduce((sum, { left }) => sum + left, 0),
      };
    },

    /** The place first, then the row: see placement.ts. Each turn of the loop brings the message a step nearer. */
    async enter(connectorId, job, row, released) {
      const to = shards.of(connectorId);
      for (;;) {
        const place = await placement.claim(row.id, '', to, null, row.deadline);
        const { shard, from } = place;
        if (from !== null && !(await placement.move(row.id, from, shard))) return ledgers[from]!.standing(row.id);
        if (shard === to) return lanes[to]!.enter(connectorId, job, row, released);
        const standing = await ledgers[shard]!.standing(row.id);
        if (standing.kind === 'taken' || (standing.kind === 'released' && !released)) return standing;
        await placement.claim(row.id, place.at, to, shard, row.deadline);
      }
    },
  };
}
