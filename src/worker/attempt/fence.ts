/** The fence of one attempt: asks the ledger, right before the transaction, whether this worker may send. */
import { asError } from '../../errors.ts';
import type { FenceAnswer, Ledger, NewRow } from '../../queue/ledger/ledger.ts';

export interface Fence {
  /** What the transport calls. Never rejects: an error of Redis means no, and is kept. */
  readonly ask: () => Promise<boolean>;
  readonly answer: () => FenceAnswer | null;
  /** The token of the attempt that is open in the ledger since; null if the fence did not open one. */
  readonly token: () => string | null;
  readonly error: () => Error | null;
  /** When it let the attempt begin, ms since the epoch; null if it did not. */
  readonly begunAt: () => number | null;
}

export interface FenceOptions {
  readonly lock: { readonly key: string; readonly token: string };
  readonly now: () => number;
  readonly worker: string;
  /** An earlier attempt without a result is known, and policy says to make it again. */
  readonly overOpen: boolean;
  /** How many attempts the ledger had when it was read; 0 if it was not. */
  readonly attempts: number;
  /** When the suppression list was looked at, ms since the epoch; null if nothing is known of one. */
  readonly lookedAt: number | null;
  /** Looks once more; false if a recipient is suppressed by now. */
  readonly isClear: () => Promise<boolean>;
  /** The trace context of the attempt. */
  readonly trace?: string | undefined;
}

/** A look at the suppression list that is older, in ms, is repeated: the attempt may have waited for a session since. */
const lookedWithinMs = 1_000;

export function createFence(
  ledger: Pick<Ledger, 'fence'>,
  row: NewRow,
  { lock, now, worker, overOpen, attempts, lookedAt, isClear, trace }: FenceOptions,
): Fence {
  let answer: FenceAnswer | null = null;
  let error: Error | null = null;
  let askedAt = 0;
  return {
    async ask() {
      try {
        askedAt = now();
        if (lookedAt !== null && askedAt - lookedAt > lookedWithinMs && !(await isClear())) {
          answer = 'listed';
          return false;
        }
        answer = await ledger.fence(row, {
          lockKey: lock.key,
          token: lock.token,
          now: askedAt,
          worker,
          overOpen,
          attempts,
          looked: lookedAt !== null,
          trace,
        });
        return answer === 'go';
      } catch (thrown) {
        error = asError(thrown);
        return false;
      }
    },
    answer: () => answer,
    token: () => (answer === 'go' ? lock.token : null),
    error: () => error,
    begunAt: () => (answer === 'go' ? askedAt : null),
  };
}
