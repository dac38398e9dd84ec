/** Keeps the bytes of messages that arrive, all together no more than a process may hold. */

/** Of all messages of a process. */
export interface ByteBudget {
  /** false if that much is not free. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly held: number;
  readonly max: number;
}

export function createByteBudget(max: () => number): ByteBudget {
  let held = 0;
  return {
    take(bytes) {
      if (held + bytes > max()) return false;
      held += bytes;
      return true;
    },
    give(bytes) {
      held -= bytes;
    },
    get held() {
      return held;
    },
    get max() {
      return max();
    },
  };
}

export interface Collector {
  add(chunk: Buffer): void;
  /** Bytes that arrived, kept or not. */
  readonly bytes: number;
  readonly state: 'whole' | 'too-large' | 'no-room';
  /** All bytes, which still count until `drop`. */
  take(): Buffer;
  /** Gives everything back. May be called more than once. */
  drop(): void;
}

/** Blocks double from the first to the last: a client that sends single bytes must not cost a hundred times as many. */
const firstBlockBytes = 8 * 1024;
const lastBlockBytes = 256 * 1024;

export function createCollector(maxBytes: number, budget: ByteBudget): Collector {
  let blocks: Buffer[] = [];
  let free = 0;
  let taken = 0;
  let bytes = 0;
  let state: Collector['state'] = 'whole';
  const drop = (): void => {
    blocks = [];
    budget.give(taken);
    taken = 0;
    free = 0;
  };
  const give = (next: Exclude<Collector['state'], 'whole'>): void => {
    state = next;
    drop();
  };
  return {
    add(chunk) {
      bytes += chunk.length;
      if (state !== 'whole') return;
      if (bytes > maxBytes) return give('too-large');
      let rest = chunk;
      while (rest.length > 0) {
        if (free === 0) {
          const size = Math.max(Math.min(Math.max(firstBlockBytes, taken), lastBlockBytes), 1);
          if (!budget.take(size)) return give('no-room');
          taken += size;
          blocks.push(Buffer.allocUnsafeSlow(size));
          free = size;
        }
        const block = blocks.at(-1)!;
        const copied = rest.copy(block, block.length - free);
        free -= copied;
        rest = rest.subarray(copied);
      }
    },
    get bytes() {
      return bytes;
    },
    get state() {
      return state;
    },
    take() {
      const whole = Buffer.concat(blocks, bytes);
      blocks = [];
      free = 0;
      return whole;
    },
    drop,
  };
}
