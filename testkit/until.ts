/** Owns waiting in tests: for a condition, with a limit, and with an error that says what did not happen. */
import { setTimeout as pause } from 'node:timers/promises';

interface UntilOptions {
  /** What is waited for, as the end of the sentence «waited … ms for». */
  readonly what: string;
  /** Default 10,000 ms: generous, because two cores are shared; a passing test never waits that long. */
  readonly timeoutMs?: number;
}

/**
 * Polls until `condition` gives something truthy, and returns it. A condition that throws counts as not yet.
 *
 * @throws Error that names `what`, the last value and the last error.
 */
export async function until<Value>(
  condition: () => Value | Promise<Value>,
  { what, timeoutMs = 10_000 }: UntilOptions,
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
