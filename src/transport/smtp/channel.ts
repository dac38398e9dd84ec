/** The connection of a session after its start: writes, hands each reply to the exchange that waits for it, and knows when it is over. */
import type net from 'node:net';
import { createReplyReader } from './reader.ts';

/** Why a connection is over. `code` is the socket's, null if this client ended it; `rest` is what had come of the next reply. */
interface ChannelEnd {
  readonly code: string | null;
  readonly text: string;
  readonly rest: string;
}

interface ChannelListener {
  reply(text: string): void;
  /** The socket has taken everything written so far. */
  drained(): void;
  /** Called once; nothing follows. */
  ended(end: ChannelEnd): void;
}

export interface SmtpChannel {
  /** False once the connection is gone, or what comes next could not be trusted. */
  readonly usable: boolean;
  /** One exchange at a time; null when it is over. A reply that no exchange waits for ends the connection. */
  listen(listener: ChannelListener | null): void;
  /** False if `drained` will say when more may be written. */
  write(bytes: Buffer | string): boolean;
  /** An exchange ends the connection if nothing comes for so long; 0 is without a limit. */
  setIdleTimeout(ms: number): void;
  end(code: string | null, text: string): void;
  /** Says QUIT, and closes once the server has answered, or after a while. */
  quit(): void;
}

const unsolicited = 'the server sends a reply that no command asked for';
/** How long to wait for the reply to QUIT. */
const quitMs = 2_000;

/** `early`: what the server has sent beyond its last reply. The socket has no other listeners for data. */
export function createChannel(socket: net.Socket, idleTimeoutMs: number, early: Buffer): SmtpChannel {
  const reader = createReplyReader();
  let usable = true;
  let quitting = false;
  let over: ChannelEnd | null = null;
  let listener: ChannelListener | null = null;

  const finish = (code: string | null, text: string): void => {
    usable = false;
    if (over !== null) return;
    over = { code, text, rest: reader.rest() };
    socket.destroy();
    const last = listener;
    listener = null;
    last?.ended(over);
  };

  const onData = (chunk: Buffer): void => {
    if (over !== null) return;
    const replies = reader.take(chunk);
    if (replies === null) return finish('EPROTOCOL', 'the reply of the server is too long');
    for (const reply of replies) {
      if (quitting) {
        socket.end();
        return;
      }
      if (listener === null) return finish('EPROTOCOL', unsolicited);
      listener.reply(reply);
    }
  };

  socket.on('data', onData);
  socket.on('drain', () => listener?.drained());
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'ESOCKET', error.message));
  // Nothing is read after the server's end, so no reply can come any more.
  socket.on('end', () => finish('ECONNRESET', 'the server closed the connection'));
  socket.on('close', () => finish('ECONNRESET', 'the server closed the connection'));
  socket.on('timeout', () => {
    if (listener !== null) finish('ETIMEDOUT', 'the server does not answer');
  });
  socket.setTimeout(idleTimeoutMs);
  if (early.length > 0) onData(early);

  return {
    get usable() {
      return usable && (listener !== null || reader.rest() === '');
    },
    listen(next) {
      listener = null;
      // An unsolicited reply would be taken for the answer to the next command.
      if (next !== null && reader.rest() !== '') finish('EPROTOCOL', unsolicited);
      if (over === null) listener = next;
      // It ended while nothing listened; what the server had begun to send then is no answer either.
      else next?.ended({ ...over, rest: '' });
    },
    write(bytes) {
      if (over !== null) return false;
      return typeof bytes === 'string' ? socket.write(bytes, 'utf8') : socket.write(bytes);
    },
    setIdleTimeout: (ms) => void socket.setTimeout(ms),
    end: finish,
    quit() {
      if (quitting) return;
      if (!usable || over !== null) return finish('ECONNRESET', 'the session is over');
      usable = false;
      quitting = true;
      socket.write('QUIT\r\n');
      const timer = setTimeout(() => socket.destroy(), quitMs);
      timer.unref();
      socket.once('close', () => clearTimeout(timer));
    },
  };
}
