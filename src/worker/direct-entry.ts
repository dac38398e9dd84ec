/** What the router hands over of a message that may go straight through (straight.ts). */
import type { LaneJob } from '../queue/jobs.ts';
import type { NewRow } from '../queue/ledger/ledger.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { Moved, MovedJob } from '../queue/lanes/lanes.ts';

/** A message that was fetched from the intake, and routed. */
interface Candidate {
  readonly from: MovedJob;
  readonly job: LaneJob;
  readonly priority: number;
  readonly row: NewRow;
  /** Whether idle processes hear of it where it has to wait. */
  readonly announce: boolean;
  /** null without an SDK. */
  readonly tracing: Tracing | null;
  /** Called when its attempt is open. */
  readonly going: () => void;
}

/** → how it entered its lane: `going` straight through, or otherwise; null if it did not, and is to be moved there. */
export type GoStraight = (candidate: Candidate) => Promise<Moved | null>;
