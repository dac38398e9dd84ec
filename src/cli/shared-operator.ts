/** One operator for a process that serves others: it connects when it is first needed, and again where that has failed. */
import { sleep } from '../async/timeout.ts';
import type { Operator } from '../admin/operator.ts';

export interface SharedOperator {
  /** Rejects with `redis-unavailable` while Redis is away. */
  readonly get: () => Promise<Operator>;
  /** Whether Redis was there when it was last asked. */
  readonly connected: () => boolean;
  close(): void;
}

export function shareOperator(open: () => Promise<Operator>): SharedOperator {
  let operator: Operator | null = null;
  let opening: Promise<Operator> | null = null;
  let closed = false;
  return {
    async get() {
      if (operator !== null) return operator;
      opening ??= open().finally(() => (opening = null));
      const made = await opening;
      if (closed) made.close();
      operator = made;
      return made;
    },
    connected: () => operator?.connected() ?? false,
    close() {
      closed = true;
      operator?.close();
    },
  };
}

/** Between two tries to reach Redis while no one asks for metrics, in ms: the health check must not wait for the first scrape. */
const tryAgainMs = 2_000;

/** Until the signal comes. */
export async function keepReaching(operator: SharedOperator, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (!operator.connected()) await operator.get().catch(() => undefined);
    await sleep(tryAgainMs, signal);
  }
}
