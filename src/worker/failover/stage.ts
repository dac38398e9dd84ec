/** When mail of a connector at fault goes by another one, when it comes back, and how much another one takes at a time. Pure. */
import type { FallbackRoom, FaultState } from '../../queue/lanes/lanes.ts';
import type { ConnectorLimits, Fallback } from '../../routing/connector.ts';

/**
 * `own`: it sends its mail itself. `waits`: it is at fault, and not for long enough. `away`: its mail goes by another one. `trial`: it has
 * recovered, and shares its mail with the other one until it has proved itself. `over`: it has.
 */
export type Stage = 'own' | 'waits' | 'away' | 'trial' | 'over';

/** Messages that a connector in trial has to itself; once it has sent so many, the trial is over. */
export const trialMessages = 10;

/**
 * A fault that asks for a slower pace is none here: the connector works, and another way out would evade what its server asks for.
 * `now`: by Redis' clock.
 */
export function stageOf(state: FaultState, { afterMs, atOnce }: Fallback, now: number, returnMs: number): Stage {
  const { fault, record, sent } = state;
  if (fault !== null && fault.kind !== 'throttled') {
    // Whose last fault is hardly over does not get the same time again.
    if (record !== null || atOnce.includes(fault.kind) || now - fault.since >= afterMs) return 'away';
    return 'waits';
  }
  if (record === null) return 'own';
  const { healthy } = record;
  if (healthy === null) return 'trial';
  return sent - healthy.sent >= trialMessages || now - healthy.at >= returnMs ? 'over' : 'trial';
}

/**
 * Whether mail of a connector `away` or in `trial` may go by others now. What an operator has paused stays where it is; and what a connector in trial
 * is to send more slowly must not evade that.
 */
export function mayDivert({ paused, waiting, fault }: FaultState): boolean {
  return !paused && waiting > 0 && fault?.kind !== 'throttled';
}

/**
 * How many jobs at the front of its own lane a connector keeps: in trial those that prove it, and at fault the next probe, where the pause
 * is over and none is on its way.
 */
export function keptOf({ fault, active }: FaultState, stage: Stage, now: number): number {
  if (stage === 'trial') return trialMessages;
  return fault !== null && fault.until <= now && active === 0 ? 1 : 0;
}

/** What a connector that stands in can take. `works`: it is waited for; else the next one is asked. */
export interface Capacity {
  readonly works: boolean;
  readonly room: number;
}

/** Of the messages that a connector may have at once, and of the seconds of its rate. */
const windowTransactions = 10;
const windowSeconds = 10;
const longestWindow = 500;
/** Messages of others that a connector has deferred: with so many it gets no more of them, as it would defer those, too. */
const mostDeferred = 1_000;

/**
 * Messages of others that a connector has in its lane at a time: some transactions of each of its sessions, and seconds of its rate. That
 * is what a message of its own senders may have to wait longer.
 */
export function windowOf({ concurrency, messagesPerMinute }: ConnectorLimits): number {
  const paced = messagesPerMinute === null ? Infinity : Math.ceil((messagesPerMinute * windowSeconds) / 60);
  return Math.max(1, Math.min(concurrency * windowTransactions, paced, longestWindow));
}

const quotas: ReadonlySet<string> = new Set(['recipients-per-day', 'bytes', 'group']);

/** Whether it cannot send what it has taken of others, for some time: that goes back. */
export function isBlocked({ paused, faults, faultMs, waitsFor }: FallbackRoom): boolean {
  return paused || (faults > 0 && faultMs > 0) || quotas.has(waitsFor);
}

export function capacityOf(room: FallbackRoom, limits: ConnectorLimits): Capacity {
  if (isBlocked(room) || room.waitsFor === 'fault' || room.waitsFor === 'slow-down') return { works: false, room: 0 };
  // Its next probe may be a message of another, if it has none of its own.
  if (room.faults > 0) return { works: false, room: room.jobs === 0 ? 1 : 0 };
  if (room.deferred.length >= mostDeferred) return { works: false, room: 0 };
  return { works: true, room: Math.max(0, windowOf(limits) - room.guests.length) };
}
