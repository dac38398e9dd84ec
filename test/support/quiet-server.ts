/** An SMTP server that keeps one answer to itself until a test lets it speak: a worker stands still exactly there. */
import { sink } from './books.ts';
import type { SmtpServer } from '../../testkit/smtp/server.ts';

export interface QuietServer {
  readonly server: SmtpServer;
  /** A worker waits for the answer. */
  readonly asked: () => boolean;
  readonly speak: () => void;
}

/** Keeps quiet the first time that `verb` of the server's script is played, and never again. Ends with the test. */
export async function quietServer(verb: string): Promise<QuietServer> {
  const spoken = Promise.withResolvers<void>();
  let asked = false;
  const server = await sink({
    script: {
      [verb]: async () => {
        if (!asked) {
          asked = true;
          await spoken.promise;
        }
        return undefined;
      },
    },
  });
  return { server, asked: () => asked, speak: spoken.resolve };
}
