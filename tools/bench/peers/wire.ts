/**
 * A bare SMTP client that is only fast: the body of one message and the envelope of the next in one
 * write (RFC 2920), nothing looked at but the first digit of each reply. The limit of the wire and of the sink.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { bytesOf, mailOf, type BenchMail } from '../mail.ts';
import { answer, settingsOf } from '../program.ts';

interface Session {
  readonly socket: Socket;
  /** The next reply's last line. Rejects where a message would be refused. */
  readonly reply: () => Promise<string>;
}

/** `waits`: for the reply to a message before the next envelope; some servers allow nothing else. */
const { port, waits = false } = await settingsOf<{ port: number; waits?: boolean }>();
let connections = 10;
let sessions: Session[] = [];

answer({
  tune(value) {
    for (const { socket } of sessions) socket.end('QUIT\r\n');
    sessions = [];
    connections = value;
    return {};
  },
  async send(count) {
    // A few at once: a server may let a new client wait before it greets.
    while (sessions.length < connections) {
      const some = Math.min(connections - sessions.length, 20);
      sessions.push(...(await Promise.all(Array.from({ length: some }, open))));
    }
    let taken = 0;
    const next = (): BenchMail | null => (taken < count ? mailOf((taken += 1)) : null);
    await Promise.all(sessions.map((session) => sendAll(session, next)));
    return {};
  },
});

async function sendAll({ socket, reply }: Session, next: () => BenchMail | null): Promise<void> {
  let mail = next();
  if (mail !== null) socket.write(envelope(mail));
  while (mail !== null) {
    // MAIL, RCPT, DATA.
    for (let replies = 0; replies < 3; replies += 1) await reply();
    const body = `${bytesOf(mail)}.\r\n`;
    mail = next();
    const following = mail === null ? '' : envelope(mail);
    socket.write(waits ? body : body + following);
    await reply();
    if (waits) socket.write(following);
  }
}

function envelope({ from, to }: BenchMail): string {
  return `MAIL FROM:<${from}>\r\nRCPT TO:<${to}>\r\nDATA\r\n`;
}

async function open(): Promise<Session> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  const reply = async (): Promise<string> => {
    for (;;) {
      const { value, done } = (await lines.next()) as { value: string; done?: boolean };
      if (done === true) throw new Error('the server has closed the connection');
      if (!/^[23]/.test(value)) throw new Error(`the server said ${value}`);
      if (value[3] !== '-') return value;
    }
  };
  await reply();
  socket.write('EHLO bench.test\r\n');
  await reply();
  return { socket, reply };
}
