/** When an attempt without a result is verified again, and when that is given up: by time, not by a count of looks. Pure. */

/** All times in ms since the epoch, all durations in ms. */
export interface VerificationClock {
  readonly now: number;
  readonly attemptedAt: number;
  /** The pause of the retry schedule. */
  readonly retryMs: number;
  /** A copy appears within this time after the attempt; until then a missing one proves nothing. */
  readonly copyWithinMs: number;
  /** How long to verify at least. */
  readonly verifyForMs: number;
  readonly deadline: number;
}

/** Looks become rarer with the age of the attempt, so that half an hour takes some twenty of them. */
const longestPauseMs = 5 * 60_000;
/** A draft may be on its way for longer than a copy takes to appear. */
const copyTimes = 10;

/** When to look again; null if enough time has passed, or the deadline comes first. */
export function nextVerification(clock: VerificationClock): number | null {
  const { now, attemptedAt, retryMs, copyWithinMs, verifyForMs, deadline } = clock;
  const endsAt = attemptedAt + Math.max(verifyForMs, copyWithinMs * copyTimes);
  if (now >= endsAt) return null;
  const pauseMs = Math.max(retryMs, Math.min((now - attemptedAt) / 2, longestPauseMs));
  const decidedAt = attemptedAt + copyWithinMs;
  // Not past the moment from which a missing copy is evidence.
  const at = Math.round(now < decidedAt ? Math.min(now + pauseMs, decidedAt) : Math.min(now + pauseMs, endsAt));
  return at < deadline ? at : null;
}
