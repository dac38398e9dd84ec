/** What the servers accepted: every copy of every recipient, written to a file before the server answers, so that a crash cannot lose it. */
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';

export interface Copy {
  readonly at: number;
  readonly server: string;
}

export interface DeliveryLog {
  /** The server has accepted a message for these recipients, even if its reply is lost. */
  add(server: string, to: readonly string[]): void;
  /** Its content: all copies of one message must have the same bytes. */
  addContent(to: readonly string[], bytes: Buffer): void;
  copies(address: string): readonly Copy[];
  /** The different contents seen under a message's tag. */
  contents(tag: string): ReadonlySet<string>;
  /** How many recipients have a copy. */
  delivered(): number;
}

/** The part of an address that names its message: `t12.0@…` → `t12`. */
function tagOf(address: string): string {
  return address.split('.', 1)[0] ?? '';
}

export function createDeliveryLog(file: string): DeliveryLog {
  const copies = new Map<string, Copy[]>();
  const contents = new Map<string, Set<string>>();
  return {
    add(server, to) {
      const copy: Copy = { at: Date.now(), server };
      appendFileSync(file, `${JSON.stringify({ ...copy, to })}\n`);
      for (const address of to) copies.set(address, [...(copies.get(address) ?? []), copy]);
    },
    addContent(to, bytes) {
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
