/** One operator for a process that serves others: it connects when it is first needed, and again where that has failed. */
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
