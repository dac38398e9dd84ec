/**
 * Whether this process may take a message of a lane now: it needs a session for it first. A lane whose sessions are all in
 * other processes is first left to them. If none of them claims it, one is asked to give up an idle session. So sessions stay
 * where there is work for them, and move when there is none.
 */
import type { Lanes } from '../queue/lanes/lanes.ts';
import type { Sessions } from '../queue/sessions/leases.ts';
import type { Reservation, Transport } from '../transport/transport.ts';

export interface AdmissionTools {
  readonly lanes: Pick<Lanes, 'yieldLane' | 'queuedAt'>;
  readonly sessions: Pick<Sessions, 'recall'>;
  readonly transport: (connectorId: string) => Transport | null;
  /** The lane's messages are paced: a session is opened before one is taken. */
  readonly paced: (connectorId: string) => boolean;
  readonly signal: AbortSignal;
  /** A lane that was refused may be tried again. */
  readonly wake: () => void;
}

export interface Admission {
  /** Null: not in this process now; the lane is left to the others. */
  admit(connectorId: string): Promise<Reservation | null>;
  /** Lanes that need not be claimed at present. */
  refused(): readonly string[];
  /** A session of the connector has ended somewhere. */
  freed(connectorId: string): void;
}

/** How long a refused lane is not claimed again, in ms, unless one of its sessions ends. */
const refusedMs = 1_000;
/** How long other processes have to serve a refused lane before a session is requested here, in ms. */
const unservedMs = 250;
/** Bounds the arguments of a claim. A lane beyond this number is claimed and refused again. */
const longestList = 200;

/** How long opening a session may take before the lane is left to processes that have one, in ms. */
const quickMs = 50;

const free: Reservation = { cancel: () => undefined };

export function createAdmission(tools: AdmissionTools): Admission {
  const { lanes, sessions, transport, paced, signal, wake } = tools;
  const refused = new Map<string, NodeJS.Timeout>();
  /** Lanes for which a session is being opened, and is slow to come. */
  const slow = new Set<string>();

  const forget = (connectorId: string): void => {
    const timer = refused.get(connectorId);
    if (timer === undefined) return;
    clearTimeout(timer);
    refused.delete(connectorId);
    wake();
  };

  const refuse = async (connectorId: string): Promise<void> => {
    clearTimeout(refused.get(connectorId));
    refused.set(connectorId, setTimeout(() => forget(connectorId), refusedMs).unref());
    const at = await lanes.yieldLane(connectorId);
    setTimeout(() => {
      const ask = async (): Promise<void> => {
        if (!signal.aborted && (await lanes.queuedAt(connectorId)) === at) await sessions.recall(connectorId);
      };
      // A Redis that is away: the next refusal asks again.
      ask().catch(() => undefined);
    }, unservedMs).unref();
  };

  return {
    async admit(connectorId) {
      const reserving = transport(connectorId)?.reserve?.(signal, paced(connectorId));
      if (reserving === undefined) return free;
      const timer = setTimeout(() => {
        slow.add(connectorId);
        lanes.yieldLane(connectorId).catch(() => undefined);
      }, quickMs);
      try {
        const reservation = await reserving;
        if (reservation === null) await refuse(connectorId);
        return reservation;
      } finally {
        clearTimeout(timer);
        slow.delete(connectorId);
      }
    },
    refused: () => [...refused.keys(), ...slow].slice(-longestList),
    freed: forget,
  };
}
