/**
 * How many bytes of mail one process holds at once. A message waits here, before its contents are read, until there is room for
 * it; small ones never do. First come, first served, with two exceptions:
 *
 * - One connector holds at most half, so its large messages wait for each other and those of other connectors pass them.
 * - A message that is larger than the whole passes alone, and one that is larger than half alone in its connector.
 */
import { contentSize } from '../message/content.ts';
import { composedTexts, formBytes } from '../message/estimate.ts';
import type { Message } from '../message/message.ts';

export interface ByteBudget {
  /** → what gives the bytes back, at once if there is room; null if the signal or the end came first. */
  acquire(connectorId: string, bytes: number, signal: AbortSignal): Release | Promise<Release | null>;
  /** The same, or null if there is no room at once. */
  acquireNow(connectorId: string, bytes: number): Release | null;
  /** Bytes that are held now, those of small messages not counted. */
  held(): number;
}

type Release = () => void;

/** As much as travels in a job: with 64 slots, 4 MiB at most are not counted. */
export const smallBytes = 64 * 1024;

interface Waiting {
  readonly connectorId: string;
  readonly bytes: number;
  readonly enter: () => void;
  readonly leave: () => void;
}

/** `capacity` is asked each time: a reload may change it. After `end`, no one waits any longer. */
export function createByteBudget(capacity: () => number, end: AbortSignal): ByteBudget {
  const byConnector = new Map<string, number>();
  let total = 0;
  let line: Waiting[] = [];

  const heldBy = (connectorId: string): number => byConnector.get(connectorId) ?? 0;
  const add = (connectorId: string, bytes: number): void => {
    total += bytes;
    const now = heldBy(connectorId) + bytes;
    if (now === 0) byConnector.delete(connectorId);
    else byConnector.set(connectorId, now);
  };
  const hold = (connectorId: string, bytes: number): Release => {
    add(connectorId, bytes);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      add(connectorId, -bytes);
      admit();
    };
  };
  const overHalf = (connectorId: string, bytes: number): boolean =>
    heldBy(connectorId) > 0 && heldBy(connectorId) + bytes > capacity() / 2;
  const overAll = (bytes: number): boolean => total > 0 && total + bytes > capacity();

  const admit = (): void => {
    const over = new Set<string>();
    const rest: Waiting[] = [];
    let closed = false;
    for (const waiting of line) {
      const { connectorId, bytes, enter } = waiting;
      // Its turn within its connector is kept, too.
      if (!closed && !over.has(connectorId) && overHalf(connectorId, bytes)) over.add(connectorId);
      // A message that needs more than is free would wait for ever if others took what becomes free.
      else if (!closed && !over.has(connectorId) && overAll(bytes)) closed = true;
      else if (!closed && !over.has(connectorId)) {
        enter();
        continue;
      }
      rest.push(waiting);
    }
    line = rest;
  };

  end.addEventListener('abort', () => {
    for (const { leave } of line.toReversed()) leave();
  });

  const acquireNow = (connectorId: string, bytes: number): Release | null => {
    if (bytes <= smallBytes) return () => undefined;
    const hasRoom = line.length === 0 && !overHalf(connectorId, bytes) && !overAll(bytes);
    return hasRoom ? hold(connectorId, bytes) : null;
  };

  return {
    acquireNow,
    acquire(connectorId, bytes, signal) {
      const release = acquireNow(connectorId, bytes);
      if (release !== null) return release;
      if (signal.aborted || end.aborted) return Promise.resolve(null);
      return new Promise((resolve) => {
        const waiting: Waiting = {
          connectorId,
          bytes,
          enter: () => {
            signal.removeEventListener('abort', waiting.leave);
            resolve(hold(connectorId, bytes));
          },
          leave: () => {
            signal.removeEventListener('abort', waiting.leave);
            line = line.filter((other) => other !== waiting);
            resolve(null);
            admit();
          },
        };
        signal.addEventListener('abort', waiting.leave);
        line.push(waiting);
        admit();
      });
    },
    held: () => total,
  };
}

/** Texts above this are read: those of line ends or of other letters than ours become two to four times as large. */
const readTextsFrom = 256 * 1024;

/**
 * Bytes of a message once it is composed, known without reading its contents: attachments become lines of base64 (78 bytes for
 * 57, RFC 2045 section 6.8), text may. `maxInMemoryBytes`: what is larger is sent part by part, and only so much is held.
 */
export function bytesHeld(message: Message, maxInMemoryBytes = Infinity): number {
  const { raw, text = '', html = '', attachments } = message;
  if (raw !== undefined) return contentSize(raw);
  const attached = attachments.reduce((sum, attachment) => sum + contentSize(attachment), 0);
  const written = Buffer.byteLength(text) + Buffer.byteLength(html);
  const texts = written > readTextsFrom ? composedTexts(text, html) : asBase64(written);
  return texts + formBytes(message) + asBase64(Math.min(attached, maxInMemoryBytes));
}

function asBase64(bytes: number): number {
  return Math.ceil((bytes * 78) / 57);
}
