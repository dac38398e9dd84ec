/** The types of one delivery attempt: what it is given, what it works with, and what the queue must do afterwards. */
import type { LaneJob } from '../../queue/jobs.ts';
import type { Quota, QuotaKind } from '../../queue/lanes/quota.ts';
import type { Carry } from '../../queue/ledger/ledger.ts';
import type { Transport } from '../../transport/transport.ts';
import type { ConnectorLimits, SendPolicy } from '../settings.ts';
import type { Decision } from './retry-policy.ts';
import type { SettleTools } from './settlement.ts';

export interface DeliverTools extends SettleTools {
  readonly random: () => number;
  /** Name of this worker, for the ledger. */
  readonly worker: string;
  /**
   * How long an attempt without a result is left alone, in ms. Its worker may only have lost its lock, and a result that still
   * arrives settles the message without a second copy.
   */
  readonly lateResultMs: number;
  readonly quota: Quota;
}

export interface DeliverTask {
  readonly job: LaneJob;
  readonly transport: Transport;
  readonly policy: SendPolicy;
  readonly limits: ConnectorLimits;
  readonly lock: { readonly key: string; readonly token: string };
  /** The job was started before, here or elsewhere: the ledger knows more than the job. */
  readonly rerun: boolean;
  readonly signal: AbortSignal;
  /** Takes a result along with the end of the job, which comes after this delivery has returned. */
  readonly carry?: Carry;
}

/** What the queue must do with the job. */
export type Delivery =
  /**
   * `slowDownMs`: the lane should pause all the same, as a server may take a message and ask for patience. `ending`: the
   * result goes with the end of the job, and this is done some time after that.
   */
  | { readonly kind: 'finished'; readonly slowDownMs?: number; readonly ending?: Promise<void> }
  | { readonly kind: 'retry'; readonly at: number; readonly slowDownMs: number | null }
  | { readonly kind: 'postpone'; readonly decision: Decision & { kind: 'postpone' } }
  /** The connector's day or window is full: the lane waits. */
  | { readonly kind: 'wait'; readonly waitMs: number; readonly quota: QuotaKind }
  /** Give it back untouched: this worker stops, may not send, or has no session for it. */
  | { readonly kind: 'hand-back'; readonly why: 'stopping' | 'lock lost' | 'no session' };
