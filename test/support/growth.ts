/** Owns the proof that hostile input cannot make work explode: how its cost grows, and how long it holds the thread, in CPU time. */

/** Under this much CPU time nobody is attacked, and two measurements cannot be compared. */
const harmlessUs = 20_000;
/** The kernel counts CPU time in ticks; less than this may be read as nothing. */
const tickUs = 4_000;

type Work = (size: number) => unknown;

/** CPU time of this thread: other load on the machine does not count. */
function threadCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/**
 * Whether `work` grows about linearly up to `size`: 4 times the input costs less than 10 times as much (quadratic: 16 times).
 * The least of three runs each, so that a garbage collection does not decide; and measured up to three times, as a busy machine
 * makes any measurement larger, and none smaller.
 */
export async function growsLinearly(work: Work, size: number): Promise<boolean> {
  const costUs = async (input: number): Promise<number> => {
    let least = Infinity;
    for (let run = 0; run < 3; run += 1) {
      const before = threadCpuUs();
      await work(input);
      least = Math.min(least, threadCpuUs() - before);
    }
    return least;
  };
  for (let measurement = 0; measurement < 3; measurement += 1) {
    const small = await costUs(Math.floor(size / 4));
    const large = await costUs(size);
    if (large < harmlessUs || large < 10 * Math.max(small, tickUs)) return true;
  }
  return false;
}

/** How long nothing else may have to wait for a message. */
export const longestTurnAllowedMs = 100;

/** The longest that `work` keeps the event loop from its turn, in ms. The least of up to three runs. */
export async function longestTurnMs(work: () => unknown): Promise<number> {
  let least = Infinity;
  for (let run = 0; run < 3 && least >= longestTurnAllowedMs; run += 1) {
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
