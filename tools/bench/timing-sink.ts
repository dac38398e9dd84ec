/** A server that tells how long each message took from the call of `send` to its 250. */
import { startSmtpServer, type SmtpServer } from '../../testkit/smtp/server.ts';

/** `sentAt`: by recipient, from `performance.now()`; a message is timed once. */
export function startTimingSink(sentAt: Map<string, number>, onTook: (ms: number) => void): Promise<SmtpServer> {
  return startSmtpServer({
    record: false,
    onMessage({ to: [recipient = ''] }) {
      const from = sentAt.get(recipient);
      if (from !== undefined) onTook(performance.now() - from);
      sentAt.delete(recipient);
    },
  });
}
