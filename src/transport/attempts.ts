/**
 * What every transport does around its attempts: refuses new ones once closed, waits for running ones, asks the fence, and masks
 * the connector's secrets in what leaves.
 */
import { asError } from '../errors.ts';
import { maskOutcome, type Mask } from './mask.ts';
import type { Outcome, SendContext } from './transport.ts';

export const stopped: Outcome = { kind: 'stopped', why: 'signal' };

export interface Attempts {
  readonly closed: boolean;
  /** Runs one attempt. `onThrow` turns an unexpected error into an outcome, because send() never rejects. */
  run(signal: AbortSignal, attempt: () => Promise<Outcome>, onThrow: (error: Error) => Outcome): Promise<Outcome>;
  /** Refuses new attempts, and resolves when the running ones have ended. */
  close(): Promise<void>;
}

export function createAttempts(mask: Mask): Attempts {
  const running = new Set<Promise<unknown>>();
  let closed = false;
  return {
    get closed() {
      return closed;
    },
    async run(signal, attempt, onThrow) {
      if (closed || signal.aborted) return stopped;
      const sending = attempt();
      running.add(sending);
      try {
        return maskOutcome(await sending, mask);
      } catch (thrown) {
        return maskOutcome(onThrow(asError(thrown)), mask);
      } finally {
        running.delete(sending);
      }
    },
    async close() {
      closed = true;
      await Promise.allSettled(running);
    },
  };
}

/** Null if the transaction may begin, else why not. A fence that fails counts as a fence that refuses. */
export async function askFence({ fence, signal }: SendContext): Promise<Outcome | null> {
  if (signal.aborted) return stopped;
  if (!(await fence().catch(() => false))) return { kind: 'stopped', why: 'fence' };
  return signal.aborted ? stopped : null;
}
