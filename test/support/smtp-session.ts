/** A raw SMTP client: writes what a test says, byte for byte, and reads one reply after the other. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { onTestFinished } from 'vitest';

export interface SmtpSession {
  readonly socket: () => Socket;
  /** The next reply, its lines joined by LF. Rejects if the connection ends before it. */
  reply(): Promise<string>;
  /** Sends a line and reads the reply. */
  say(line: string): Promise<string>;
  write(bytes: string | Buffer): void;
  /** Everything that is sent after the connection's end counts as '': → what was left when the server closed. */
  ended(): Promise<string>;
  startTls(options?: ConnectionOptions): Promise<void>;
  /** AUTH PLAIN. */
  login(user: string, password: string): Promise<string>;
  /** MAIL, RCPTs, DATA and the message, which ends in CRLF, with the last reply. The first that is not positive ends it. */
  send(message: {
    readonly from: string;
    readonly to: readonly string[];
    readonly data: string | Buffer;
    readonly parameters?: string;
  }): Promise<string>;
  end(): void;
}

interface Options {
  readonly port: number;
  /** TLS from the first byte. */
  readonly tls?: ConnectionOptions;
  readonly localAddress?: string;
  /** Sent before anything else: a PROXY header. */
  readonly first?: string | Buffer;
}

/** Resolves when connected; the greeting is the first reply. */
export async function openSession({ port, tls, localAddress, first }: Options): Promise<SmtpSession> {
  const about = { port, host: '127.0.0.1', ...(localAddress === undefined ? {} : { localAddress }) };
  let text = '';
  let closed = false;
  let wake: () => void = () => undefined;
  const listen = (to: Socket): Socket =>
    to
      .on('data', (chunk: Buffer) => {
        text += chunk.toString();
        wake();
      })
      .on('error', () => undefined)
      .on('close', () => {
        closed = true;
        wake();
      });
  let socket: Socket;
  if (tls !== undefined && first === undefined) {
    socket = connectTls({ ...about, servername: 'localhost', ...tls });
    await once(socket, 'secureConnect');
  } else {
    socket = connect(about);
    await once(socket, 'connect');
    if (first !== undefined) socket.write(first);
  }
  listen(socket);
  onTestFinished(() => void socket.destroy());

  const reply = async (): Promise<string> => {
    for (;;) {
      const whole = /^(?:\d{3}-[^\n]*\r\n)*\d{3} [^\n]*\r\n/.exec(text)?.[0];
      if (whole !== undefined) {
        text = text.slice(whole.length);
        return whole.trimEnd().replaceAll('\r\n', '\n');
      }
      if (closed) throw new Error(`the connection ended; left: ${JSON.stringify(text)}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const session: SmtpSession = {
    socket: () => socket,
    reply,
    say(line) {
      socket.write(`${line}\r\n`);
      return reply();
    },
    write: (bytes) => void socket.write(bytes),
    async ended() {
      for (;;) {
        if (closed) return text;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    async startTls(options = {}) {
      const plain = socket;
      plain.removeAllListeners('data');
      text = '';
      socket = connectTls({ socket: plain, servername: 'localhost', ...options });
      onTestFinished(() => void socket.destroy());
      const ready = once(socket, 'secureConnect');
      listen(socket);
      await ready;
    },
    login: (user, password) => session.say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`),
    async send({ from, to, data, parameters = '' }) {
      for (const line of [`MAIL FROM:<${from}>${parameters}`, ...to.map((each) => `RCPT TO:<${each}>`), 'DATA']) {
        const said = await session.say(line);
        if (!/^[23]/.test(said)) return said;
      }
      socket.write(data);
      return session.say('.');
    },
    end: () => socket.end(),
  };
  return session;
}
