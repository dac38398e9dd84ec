/** The types of one delivery attempt: what it is given, what it works with, and what follows from it. */
import type { DkimSettings } from '../../message/dkim.ts';
import type { LaneJob } from '../../queue/jobs.ts';
import type { Ledger } from '../../queue/ledger/ledger.ts';
import type { Attributions } from '../../queue/lanes/attribution.ts';
import type { OwnQuotaKind, Quota, QuotaKind } from '../../queue/lanes/quota.ts';
import type { ConnectorLimits } from '../../routing/connector.ts';
import type { Reservation, Transport } from '../../transport/transport.ts';
import type { LedgerTools, LedgerWrite } from '../ledger-write.ts';
import type { TraceIds, Tracing } from '../../tracing/tracing.ts';
import type { DeliveryRules, SendPolicy } from '../settings.ts';
import type { SuppressionView } from '../suppression-view.ts';
import type { Decision, FoundFault } from './retry-policy.ts';

export interface DeliverTools extends LedgerTools {
  readonly random: () => number;
  /** Name of this worker, for the ledger. */
  readonly worker: string;
  /**
   * How long an attempt without a result is left alone, in ms. Its worker may only have lost its lock, and a result that still
   * arrives settles the message without a second copy.
   */
  readonly lateResultMs: number;
  /** How long an attempt without a result is verified at least, in ms. */
  readonly verifyForMs: number;
  /** Rejects as Redis does. */
  readonly returnPathKey: () => Promise<Buffer>;
  readonly quota: Quota;
  readonly suppressions: SuppressionView;
  readonly attribution: Pick<Attributions, 'accuse' | 'forget'>;
  /** An attempt that begins within so many ms belongs to the trace in which its message was sent. */
  readonly parentWithinMs: () => number;
}

export interface DeliverTask {
  readonly job: LaneJob;
  readonly transport: Transport;
  readonly policy: SendPolicy;
  readonly limits: ConnectorLimits;
  /** A pattern; null: reports go to the sender's address. */
  readonly bouncePath: string | null;
  /** Signs the mail; null: it stays unsigned. */
  readonly dkim: DkimSettings | null;
  /** Of the composed mail (`message.maxSize`). */
  readonly maxBytes: number;
  readonly lock: { readonly key: string; readonly token: string };
  /** The job was started before, here or elsewhere: the ledger knows more than the job. */
  readonly rerun: boolean;
  readonly signal: AbortSignal;
  /** Who may get mail; null: everyone. */
  readonly delivery?: DeliveryRules | null;
  /** null without an SDK. */
  readonly tracing: Tracing | null;
  /** Absent for a message of a lane. */
  readonly direct?: DirectTask;
}

/** A message that is in no lane yet: it enters its lane by the step that opens the attempt, or not at all. */
export interface DirectTask {
  readonly fence: Ledger['fence'];
  readonly place: Reservation;
}

/** What follows from an attempt: what is to be written into the ledger, if anything, and where the job goes then. */
export interface Delivery {
  readonly write: LedgerWrite | null;
  readonly next: Next;
  /** The span of the attempt, where there is one. */
  readonly trace?: TraceIds;
}

/** A limit that is counted is used up: nothing was begun. */
export interface QuotaWait {
  readonly kind: 'wait';
  readonly waitMs: number;
  readonly quota: QuotaKind;
  /** Whose limit it is; null: the connector's own. */
  readonly group: string | null;
  /** What the lane waits for. */
  readonly hold: OwnQuotaKind | 'group';
}

export type Next =
  /** The job ends. `slowDownMs`: the server took the message, and asked for a pause. */
  | { readonly kind: 'done'; readonly slowDownMs: number | null }
  /** `unfit`: a fallback cannot carry it, and gives it back before that time. */
  | { readonly kind: 'retry'; readonly at: number; readonly slowDownMs: number | null; readonly unfit?: boolean }
  /** It is open whose fault a refusal is: the job waits aside. `fault`: it is the connector's, and the lane pauses. */
  | { readonly kind: 'set-aside'; readonly at: number; readonly fault: FoundFault | null }
  /** The connector has a fault: the lane pauses, and the job goes back to its front. */
  | { readonly kind: 'postpone'; readonly decision: Decision & { kind: 'postpone' } }
  /** The connector's day or window is full: the lane waits, and the job goes back to its front. */
  | QuotaWait
  /** The message did not enter its lane here: nothing was done, and nothing follows. */
  | { readonly kind: 'elsewhere' }
  /** The job goes back untouched to the front of its lane. */
  | { readonly kind: 'hand-back'; readonly why: HandBackReason };

/** This worker stops, has lost the job's lock, or has no session for it; or the lane pauses since the job was taken. */
export type HandBackReason = 'stopping' | 'lock lost' | 'no session' | 'paused';
