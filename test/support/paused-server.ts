/** An SMTP server that holds back one reply until the test releases it: a worker waits exactly there. */
import { sink } from './accounting.ts';
import type { SmtpServer } from '../../testkit/smtp/server.ts';

export interface PausedServer {
  readonly server: SmtpServer;
  /** A worker waits for the reply. */
  readonly reached: () => boolean;
  readonly release: () => void;
}

/** Holds back the reply the first time that `verb` of the server's script is used, and never again. Ends with the test. */
export async function pausedServer(verb: string): Promise<PausedServer> {
  const released = Promise.withResolvers<void>();
  let reached = false;
  const server = await sink({
    script: {
      [verb]: async () => {
        if (!reached) {
          reached = true;
          await released.promise;
        }
        return undefined;
      },
    },
  });
  return { server, reached: () => reached, release: released.resolve };
}
