/** The times of a worker that no configuration sets: tests shorten them. */

/** In ms. A worker that dies is noticed after its lock has ended and two rounds of maintenance have passed. */
export interface Timing {
  readonly lockMs: number;
  readonly maintenanceMs: number;
  /** How long an attempt without a result is left alone: the worker that made it may only have lost its lock. */
  readonly lateResultMs: number;
  /** How long such an attempt is verified at least, where the server can be asked: mail systems are rarely further behind. */
  readonly verifyForMs: number;
  readonly orphanGraceMs: number;
  /** Between two looks at a message whose key is not here. */
  readonly keyWaitMs: number;
  /** After the drain time: how long a stop waits for aborted attempts. */
  readonly abortMs: number;
  /** Between two looks at connectors at fault whose mail may go by a fallback; while some goes, a fifth of it. */
  readonly failoverMs: number;
  /** How long a connector that has recovered shares its mail with the fallback, unless it has sent some before. */
  readonly returnMs: number;
  /** A factor for every pause of a lane, so that a test can watch an hour in seconds. Not in ms. */
  readonly pauseScale: number;
}

export const defaultTiming: Timing = {
  lockMs: 30_000,
  maintenanceMs: 10_000,
  lateResultMs: 60_000,
  verifyForMs: 30 * 60_000,
  orphanGraceMs: 60_000,
  keyWaitMs: 30_000,
  abortMs: 5_000,
  failoverMs: 1_000,
  returnMs: 30_000,
  pauseScale: 1,
};
