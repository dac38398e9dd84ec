/** Waits in tests: until a condition holds, with a limit and an error that says what did not happen; or while one must hold. */
import { setTimeout as pause } from 'node:timers/promises';

interface UntilOptions {
  /** The condition, as the end of the sentence "waited … ms for". */
  readonly what: string;
  /** Default 40 s: a busy machine may be ten times slower than an idle one, and a passing test never waits that long. */
  readonly timeoutMs?: number;
}

/**
 * Polls until `condition` gives something truthy, and returns it. A condition that throws counts as not yet.
 *
 * @throws Error that names `what`, the last value and the last error.
 */
export async function until<Value>(
  condition: () => Value | Promise<Value>,
  { what, timeoutMs = 40_000 }: UntilOptions,
): Promise<NonNullable<Value>> {
  const end = performance.now() + timeoutMs;
  let last: { value?: unknown; error?: unknown } = {};
  // Starts fine, so that quick things stay quick, and ends coarse, so that slow things are not disturbed.
  for (let delayMs = 5; ; delayMs = Math.min(delayMs * 1.5, 100)) {
    try {
      const value = await condition();
      if (value) return value;
      last = { value };
    } catch (error) {
      last = { error };
    }
    if (performance.now() >= end) break;
    await pause(delayMs);
  }
  const seen = 'error' in last ? `last error: ${String(last.error)}` : `last value: ${String(last.value)}`;
  throw new Error(`waited ${timeoutMs} ms for ${what}; ${seen}`, 'error' in last ? { cause: last.error } : {});
}

/**
 * Lets time pass on purpose, for a test that shows that something does not happen: there is no event to wait for. Looks
 * at the condition all the time.
 *
 * @throws Error as soon as the condition does not hold.
 */
export async function holds(
  condition: () => boolean | Promise<boolean>,
  { what, forMs }: { readonly what: string; readonly forMs: number },
): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    if (!(await condition())) throw new Error(`${what} did not last for ${forMs} ms`);
    await pause(20);
  }
}

/** Paces what a test makes happen: the messages of a load, or the answers of a scripted server. It waits for nothing. */
export async function paced(everyMs: number): Promise<void> {
  await pause(everyMs);
}
