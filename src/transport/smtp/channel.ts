/**
 * The connection of a session once nodemailer has set it up: writes, hands each reply to the exchange that waits for it, and
 * knows when the connection is over.
 *
 * It counts the replies that the server owes. A reply that was there before its command left is no answer to it, and a server
 * that is out of step could have its refusal taken for an acceptance: such a connection ends.
 */
import type net from 'node:net';
import { createReplyReader, isClosing } from './reader.ts';

/** Why a connection is over. `code` is the socket's, null if this client ended it; `rest` is what had come of the next reply. */
export interface ChannelEnd {
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
  /** One exchange at a time; null when it is over. A reply that no command asked for ends the connection. */
  listen(listener: ChannelListener | null): void;
  /** Writes what the server owes `replies` replies for. False if `drained` will say when more may be written. */
  write(bytes: string | Buffer | readonly Buffer[], replies: number): boolean;
  /** An exchange ends the connection if nothing comes for so long; 0 is without a limit. */
  setIdleTimeout(ms: number): void;
  end(code: string | null, text: string): void;
  /** Says QUIT, and closes once the server has answered, or after a while. */
  quit(): void;
}

const unsolicited = 'the server sends a reply that no command asked for';
/** How long to wait for the reply to QUIT. */
const quitMs = 2_000;

/** The socket has no other listeners for data, and the server owes nothing. */
export function createChannel(socket: net.Socket, idleTimeoutMs: number): SmtpChannel {
  const reader = createReplyReader();
  let usable = true;
  let quitting = false;
  let owed = 0;
  let over: ChannelEnd | null = null;
  let listener: ChannelListener | null = null;

  const finish = (code: string | null, text: string, rest = reader.rest()): void => {
    usable = false;
    if (over !== null) return;
    over = { code, text, rest };
    socket.destroy();
    const last = listener;
    listener = null;
    last?.ended(over);
  };

  const dispatch = (replies: readonly string[]): void => {
    for (const reply of replies) {
      if (over !== null) return;
      owed -= 1;
      listener?.reply(reply);
    }
  };

  const onData = (chunk: Buffer): void => {
    if (over !== null) return;
    const replies = reader.take(chunk);
    if (replies === null) return finish('EPROTOCOL', 'the reply of the server is too long', '');
    if (quitting) {
      if (replies.length > 0) socket.end();
      return;
    }
    // Compared before anything is handed on: the answer to the next command cannot be in this chunk.
    if (replies.length < owed || (replies.length === owed && !reader.begun)) return dispatch(replies);
    const surplus = replies[owed] ?? reader.rest();
    // Nothing more is written. Of several replies it is unknown which one is too many; a 421 is legitimate, and the last.
    usable = false;
    if (owed === 1 || isClosing(surplus)) dispatch(replies.slice(0, owed));
    finish('EPROTOCOL', unsolicited, isClosing(surplus) ? surplus : '');
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

  return {
    get usable() {
      return usable;
    },
    listen(next) {
      listener = null;
      if (over === null) listener = next;
      // It ended while nothing listened; what the server had begun to send then is no answer either.
      else next?.ended({ ...over, rest: '' });
    },
    write(bytes, replies) {
      if (!usable) return false;
      owed += replies;
      if (typeof bytes === 'string') return socket.write(bytes, 'utf8');
      if (Buffer.isBuffer(bytes)) return socket.write(bytes);
      // One system call, and one record of TLS.
      socket.cork();
      let hasRoom = true;
      for (const each of bytes) hasRoom = socket.write(each);
      socket.uncork();
      return hasRoom;
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

/** One command and its reply. Resolves to the end of the connection if that comes first. */
export function ask(channel: SmtpChannel, command: string): Promise<string | ChannelEnd> {
  return new Promise((resolve) => {
    const done = (result: string | ChannelEnd): void => {
      channel.listen(null);
      resolve(result);
    };
    channel.listen({ reply: done, drained: () => undefined, ended: done });
    channel.write(command, 1);
  });
}
