/** Owns the proof that hostile input cannot make work explode: how its cost grows, in CPU time of this thread, not on a clock. */

/** Under this much CPU time nobody is attacked, and two measurements cannot be compared. */
const harmlessUs = 20_000;

/**
 * Whether `work` grows about linearly up to `size`: 4 times the input costs less than 10 times as much (quadratic: 16 times).
 * The least of three runs each, so that a garbage collection does not decide. Other load on the machine does not count.
 */
export function growsLinearly(work: (size: number) => void, size: number): boolean {
  const costUs = (input: number): number => {
    const runs = [1, 2, 3].map(() => {
      const before = process.threadCpuUsage();
      work(input);
      const { user, system } = process.threadCpuUsage(before);
      return user + system;
    });
    return Math.min(...runs);
  };
  const small = costUs(Math.floor(size / 4));
  const large = costUs(size);
  return large < harmlessUs || large < 10 * small;
}
