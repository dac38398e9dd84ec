/**
 * Everything observable that a worker does, as one closed union. Logs and metrics are subscribers; nothing else is told.
 * Fields carry ids, counts, codes and replies; never a body, a subject, a secret, or a list of recipients.
 */
import type { Issue } from '../errors.ts';
import type { FaultClass, Verification } from '../transport/transport.ts';
import type { Priority } from '../message/message.ts';
import type { DeadReason } from '../queue/ledger/dead-letters.ts';
import type { LedgerState } from '../queue/ledger/ledger.ts';
import type { QuotaKind } from '../queue/lanes/quota.ts';
import type { TraceIds } from '../tracing/tracing.ts';

/** `set-aside`: refused, and it is open whose fault that is. `fault`: the connector's. `stopped`: nothing was sent, and nothing failed. */
export type AttemptOutcome =
  | 'accepted'
  | 'partial'
  | 'deferred'
  | 'rejected'
  | 'uncertain'
  | 'set-aside'
  | 'fault'
  | 'stopped';

export type AttemptEvent = Extract<WorkerEvent, { readonly event: 'attempt' }>;

export type WorkerEvent =
  | { readonly event: 'ready'; readonly worker: string; readonly connectors: number; readonly slots: number }
  | { readonly event: 'draining'; readonly worker: string; readonly running: number }
  | { readonly event: 'stopped'; readonly worker: string; readonly drained: boolean }
  | { readonly event: 'config-applied'; readonly worker: string; readonly connectors: number }
  | { readonly event: 'redis-warning'; readonly setting: string; readonly detail: string }
  | { readonly event: 'redis-error'; readonly detail: string }
  | (Memory & { readonly event: 'redis-full' })
  | (Memory & { readonly event: 'redis-room' })
  | { readonly event: 'routed'; readonly id: string; readonly connector: string; readonly rule: string }
  | { readonly event: 'duplicate'; readonly id: string; readonly state: string }
  /** Of one message, or (id null) of all: `version` is what would have to be known. */
  | { readonly event: 'format-newer'; readonly id: string | null; readonly version: number }
  | { readonly event: 'format-known' }
  /** So many messages were put off that are sealed with a key that is not here; each counts at each look. `id`: of the last one. */
  | {
      readonly event: 'key-missing';
      readonly id: string;
      /** Its name. */
      readonly key: string;
      readonly connector: string | null;
      readonly messages: number;
    }
  | { readonly event: 'invalid'; readonly id: string; readonly issues: readonly Issue[] }
  /** One attempt, whatever it came to. Times are null if the fence did not open it. */
  | {
      readonly event: 'attempt';
      readonly id: string;
      readonly connector: string;
      readonly priority: Priority;
      readonly outcome: AttemptOutcome;
      /** From when the message was due; null if that is not known. */
      readonly waitMs: number | null;
      readonly durationMs: number | null;
      /** `host:port` of the server that was asked; null: none was, or the transport does not tell. */
      readonly server: string | null;
      readonly bytes: number;
      /** Recipients by what the server said. */
      readonly accepted: number;
      readonly deferred: number;
      readonly rejected: number;
      readonly uncertain: number;
    }
  | {
      readonly event: 'sent';
      readonly id: string;
      readonly connector: string;
      readonly priority: Priority;
      /** Of the message, after it. */
      readonly state: LedgerState;
      readonly attempt: number;
      readonly recipients: number;
      readonly durationMs: number;
      /** From acceptance, or from `sendAt`; null if an earlier attempt had reached a recipient. */
      readonly latencyMs: number | null;
      readonly reply: string | null;
    }
  | {
      readonly event: 'deferred';
      readonly id: string;
      readonly connector: string;
      readonly attempt: number;
      readonly recipients: number;
      readonly retryInMs: number;
      readonly code: string | null;
      readonly reply: string | null;
    }
  | {
      readonly event: 'set-aside';
      readonly id: string;
      readonly connector: string;
      readonly recipients: number;
      readonly retryInMs: number;
      readonly code: string | null;
      readonly reply: string | null;
    }
  | {
      readonly event: 'dead';
      readonly id: string;
      readonly connector: string | null;
      /** Of the message: `dead`, or `partial` if others have it. */
      readonly state: LedgerState;
      readonly reason: DeadReason;
      readonly recipients: number;
      readonly code: string | null;
      readonly reply: string | null;
    }
  | {
      readonly event: 'connector-fault';
      readonly connector: string;
      readonly id: string;
      readonly fault: string;
      readonly faults: number;
      readonly pauseMs: number;
      /** Messages at once after the fault. */
      readonly concurrency: number;
      /** The rate that was learned; null if there is none. */
      readonly messagesPerMinute: number | null;
      readonly code: string | null;
      readonly reply: string | null;
    }
  | { readonly event: 'uncertain'; readonly id: string; readonly connector: string; readonly detail: string }
  | {
      readonly event: 'held';
      readonly id: string;
      readonly connector: string;
      readonly recipients: number;
      readonly reply: string | null;
    }
  | { readonly event: 'verified'; readonly id: string; readonly connector: string; readonly result: Verification }
  | {
      readonly event: 'quota-full';
      readonly connector: string;
      readonly id: string;
      readonly quota: QuotaKind;
      /** Whose limit it is; null: the connector's own. */
      readonly group: string | null;
      readonly waitMs: number;
    }
  /** A message has ended: copies of this many recipients went to another address. */
  | (Diverted & { readonly event: 'redirected' })
  /** The same of those who get no mail. */
  | (Diverted & { readonly event: 'suppressed' })
  /** It has been at fault for long enough: its mail goes by these connectors. */
  | {
      readonly event: 'fallback-began';
      readonly connector: string;
      readonly to: string;
      readonly fault: string;
      readonly reply: string;
    }
  /** It sends its mail itself again. */
  | { readonly event: 'fallback-ended'; readonly connector: string; readonly to: string }
  /** Messages have entered the lane of another connector, or have come back from there (`back`). */
  | {
      readonly event: 'fell-back';
      readonly connector: string;
      readonly to: string;
      readonly messages: number;
      readonly back: boolean;
    }
  | (Concurrency & { readonly event: 'connector-recovered' })
  | (Concurrency & { readonly event: 'concurrency-raised' })
  | { readonly event: 'dropped'; readonly id: string; readonly connector: string; readonly state: string }
  | { readonly event: 'handed-back'; readonly id: string; readonly connector: string; readonly why: string }
  /** A request for an access token has ended: `ok`, or the fault. */
  | {
      readonly event: 'token';
      readonly connector: string;
      readonly provider: 'microsoft' | 'google';
      readonly outcome: 'ok' | FaultClass;
    }
  | { readonly event: 'error'; readonly id: string | null; readonly where: string; readonly detail: string }
  | { readonly event: 'lane-orphaned'; readonly connector: string; readonly waiting: number; readonly rerouted: number }
  | { readonly event: 'dead-letters-trimmed'; readonly count: number }
  | { readonly event: 'contents-trimmed'; readonly count: number }
  /** Consumers had not read them; each is told of a gap. */
  | { readonly event: 'events-dropped'; readonly count: number };

/** Messages of a connector that may be on their way at once: in force and configured; null where the connector is gone. */
interface Concurrency {
  readonly connector: string;
  readonly concurrency: number | null;
  readonly configured: number | null;
}

interface Diverted {
  readonly id: string;
  readonly connector: string;
  readonly recipients: number;
}

/** Of the Redis master that has the least room. */
interface Memory {
  readonly usedBytes: number;
  readonly maxBytes: number;
  /** Kept for messages that wait. */
  readonly reservedBytes: number;
}

/** A subscriber. It must not throw; `emitTo` guards the worker if it does. `trace`: the span in which it happened, where there is one. */
export type Listener = (event: WorkerEvent, trace?: TraceIds) => void;

/** One function that tells all listeners; a listener that throws cannot break a delivery. */
export function emitTo(listeners: readonly Listener[]): Listener {
  return (event, trace) => {
    for (const listener of listeners) {
      try {
        listener(event, trace);
      } catch {
        // A full disk under a log file must not stop mail.
      }
    }
  };
}
