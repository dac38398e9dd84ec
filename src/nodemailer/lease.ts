/** A producer that is there while mails are sent: opened for the first, closed when none came for a while, so that a program can end. */
import { PostlaneError } from '../errors.ts';
import type { Producer } from '../producer/producer.ts';

export interface ProducerLease {
  use<T>(work: (producer: Pick<Producer, 'send' | 'status'>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
  readonly closed: boolean;
}

export function createLease(open: () => Producer, idleMs: number): ProducerLease {
  let producer: Producer | null = null;
  let users = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  const shut = async (): Promise<void> => {
    const last = producer;
    producer = null;
    clearTimeout(timer);
    await last?.close();
  };
  return {
    get closed() {
      return closed;
    },
    async use(work) {
      if (closed) throw new PostlaneError('producer-closed', 'The transport is closed; create a new one');
      clearTimeout(timer);
      producer ??= open();
      users += 1;
      try {
        return await work(producer);
      } finally {
        users -= 1;
        if (users === 0 && !closed) timer = setTimeout(() => void shut(), idleMs);
      }
    },
    close() {
      closed = true;
      return shut();
    },
  };
}

/** The application's own producer, which stays open. */
export function lend(producer: Pick<Producer, 'send' | 'status'>): ProducerLease {
  let closed = false;
  return {
    get closed() {
      return closed;
    },
    async use(work) {
      if (closed) throw new PostlaneError('producer-closed', 'The transport is closed; create a new one');
      return work(producer);
    },
    async close() {
      closed = true;
    },
  };
}
