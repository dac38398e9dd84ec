/** nodemailer's pooled `sendMail` without any queue: unsent messages are lost when the process ends. */
import { createTransport } from 'nodemailer';
import { mailsOf } from '../mail.ts';
import { answer, settingsOf } from '../program.ts';

const { port, bytes } = await settingsOf<{ port: number; bytes: number }>();
let maxConnections = 10;
let transport = create();

function create(): ReturnType<typeof createTransport> {
  return createTransport({
    pool: true,
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    maxConnections,
    maxMessages: Number.POSITIVE_INFINITY,
  });
}

answer({
  tune(connections) {
    transport.close();
    maxConnections = connections;
    transport = create();
    return {};
  },
  /** As many at once as there are connections; nodemailer would hold more in memory and be no faster. */
  async send(count) {
    const mails = mailsOf(count, bytes).values();
    const sender = async (): Promise<void> => {
      for (const mail of mails) await transport.sendMail(mail);
    };
    await Promise.all(Array.from({ length: maxConnections * 2 }, sender));
    return {};
  },
});
