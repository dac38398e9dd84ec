/** What the servers took: every copy of every recipient, written down before the server answers, so that no crash can unsay it. */
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';

export interface Copy {
  readonly at: number;
  readonly server: string;
}

export interface Sink {
  /** The server has taken a message for these recipients; whether its answer arrives is another matter. */
  take(server: string, to: readonly string[]): void;
  /** What was in it: all copies of one message must have the same bytes. */
  content(to: readonly string[], bytes: Buffer): void;
  copies(address: string): readonly Copy[];
  /** The different contents that were seen under a message's tag. */
  contents(tag: string): ReadonlySet<string>;
  /** Recipients that have a copy. */
  delivered(): number;
}

/** The part of an address that names its message: `t12.0@…` → `t12`. */
function tagOf(address: string): string {
  return address.split('.', 1)[0] ?? '';
}

export function createSink(file: string): Sink {
  const copies = new Map<string, Copy[]>();
  const contents = new Map<string, Set<string>>();
  return {
    take(server, to) {
      const copy: Copy = { at: Date.now(), server };
      appendFileSync(file, `${JSON.stringify({ ...copy, to })}\n`);
      for (const address of to) copies.set(address, [...(copies.get(address) ?? []), copy]);
    },
    content(to, bytes) {
      const [first] = to;
      if (first === undefined) return;
      const seen = contents.get(tagOf(first)) ?? new Set();
      contents.set(tagOf(first), seen.add(createHash('sha256').update(bytes).digest('hex')));
    },
    copies: (address) => copies.get(address) ?? [],
    contents: (tag) => contents.get(tag) ?? new Set(),
    delivered: () => copies.size,
  };
}
