/** Reads the body of a request: never more than it may have, and never more at once than the server can hold. */
import type { IncomingMessage } from 'node:http';
import type { Problem } from './problem.ts';

export type BodyRead =
  | { readonly ok: true; readonly bytes: Buffer; readonly release: () => void }
  | { readonly ok: false; readonly problem: Problem };

/** Bytes of bodies that one process holds at once, over all requests. */
export interface BodyBudget {
  /** → false if there is no room. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function createBodyBudget(most: number): BodyBudget {
  let held = 0;
  return {
    take(bytes) {
      if (held + bytes > most) return false;
      held += bytes;
      return true;
    },
    give(bytes) {
      held -= bytes;
    },
  };
}

/**
 * A body is counted as it arrives: what a client announces and does not send takes nothing from others. `release` gives its bytes back;
 * it may be called more than once.
 */
export async function readBody(request: IncomingMessage, most: number, budget: BodyBudget): Promise<BodyRead> {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    return refused('unsupported-media-type', 'the body has a Content-Encoding; send it as it is');
  }
  if (Number(request.headers['content-length'] ?? 0) > most) return tooLarge(most);
  const chunks: Buffer[] = [];
  let held = 0;
  const release = (): void => {
    budget.give(held);
    held = 0;
  };
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      if (held + chunk.length > most) {
        release();
        return tooLarge(most);
      }
      if (!budget.take(chunk.length)) {
        release();
        return refused('unavailable', 'the server holds as many bodies as it can; ask again');
      }
      held += chunk.length;
      chunks.push(chunk);
    }
  } catch {
    release();
    return refused('malformed-request', 'the body ended before its end');
  }
  // One copy more for as long as this takes, not for as long as the request does.
  return { ok: true, bytes: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks), release };
}

function tooLarge(most: number): BodyRead {
  return refused('too-large', `the body may have ${most} bytes`);
}

function refused(code: Problem['code'], detail: string): BodyRead {
  return { ok: false, problem: { code, detail } };
}
