/** Measures the cost of hostile input: how it grows with the input, and how long it holds the event loop, in CPU time. */

/** Less CPU time than this is harmless, and too short to compare. */
const harmlessUs = 20_000;
/** The kernel counts CPU time in ticks; less than this may be read as nothing. */
const tickUs = 4_000;

type Work = (size: number) => unknown;

/** CPU time of this thread: other load on the machine does not count. */
function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** Caches that other programs use as well make a run slower, never faster: the least of several counts. */
const mostRuns = 12;

/**
 * Whether `work` grows about linearly up to `size`: 4 times the input costs less than 10 times as much (quadratic: 16 times).
 * At least three runs each, so that a garbage collection does not decide.
 */
export async function growsLinearly(work: Work, size: number): Promise<boolean> {
  const costUs = async (input: number): Promise<number> => {
    const before = threadCpuUs();
    await work(input);
    return threadCpuUs() - before;
  };
  let [small, large] = [Infinity, Infinity];
  for (let run = 1; run <= mostRuns; run += 1) {
    small = Math.min(small, await costUs(Math.floor(size / 4)));
    large = Math.min(large, await costUs(size));
    if (run >= 3 && (large < harmlessUs || large < 10 * Math.max(small, tickUs))) return true;
  }
  return false;
}

/** How long one message may keep the event loop. */
export const longestTurnAllowedMs = 100;

/** The longest that `work` keeps the event loop from its next turn, in ms; the least of several runs. */
export async function longestTurnMs(work: () => unknown): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < mostRuns && least >= longestTurnAllowedMs; run += 1) {
    least = Math.min(least, await longestTurnOnceMs(work));
  }
  return least;
}

async function longestTurnOnceMs(work: () => unknown): Promise<number> {
  let longest = 0;
  let last = threadCpuUs();
  let isOver = false;
  const measure = (): void => {
    const now = threadCpuUs();
    longest = Math.max(longest, now - last);
    last = threadCpuUs();
    if (!isOver) setImmediate(measure);
  };
  setImmediate(measure);
  last = threadCpuUs();
  await work();
  isOver = true;
  measure();
  return longest / 1_000;
}
