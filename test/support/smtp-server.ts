/**
 * A scripted SMTP server for tests: says exactly what a test wants, byte for byte, and remembers all it was told.
 *
 * It runs on raw sockets, because library servers neither break the rules on demand nor answer without delay.
 * `script` maps a verb to what is said instead of the default:
 *
 *   CONNECT    the greeting                     EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT    that command
 *   .          the reply to the final dot       BODY    when body bytes arrive (see `bodyBytesBefore`)
 *
 * An answer is a reply text (several lines joined by \n; a 421 also closes), an action, a list (one entry per use, then
 * the default again), or a function of the context, which may return undefined for the default and may be asynchronous.
 */
import net from 'node:net';
import tls from 'node:tls';

/**
 * A string is a reply text, or an action: `hang` says nothing and goes on listening; `close` ends the connection
 * politely; `reset` sends RST. `then` follows the reply; `trickle` sends one line every `everyMs` for ever.
 */
export type SmtpAnswer =
  | string
  | { readonly reply: string; readonly then: 'close' | 'reset' }
  | { readonly trickle: string; readonly everyMs: number };

export interface SmtpContext {
  readonly line: string;
  /** Counts from 1: which connection of this server it is. */
  readonly connection: number;
  readonly from: string | null;
  readonly to: readonly string[];
}

export type SmtpScriptEntry =
  | SmtpAnswer
  | readonly SmtpAnswer[]
  | ((context: SmtpContext) => SmtpAnswer | undefined | Promise<SmtpAnswer | undefined>);

export interface SmtpTransaction {
  readonly connection: number;
  readonly from: string;
  readonly to: readonly string[];
  /** What followed the reverse-path: `SIZE=…`, `BODY=8BITMIME`, `SMTPUTF8`. */
  readonly parameters: readonly string[];
  /** The message after dot-unstuffing, with its last CRLF. */
  readonly bytes: Buffer;
  readonly secure: boolean;
  /** Who was logged in; null is nobody. */
  readonly user: string | null;
  /** The server said 2xx to the final dot. */
  readonly accepted: boolean;
}

export interface SmtpReceived {
  /** Every message whose final dot arrived, in order. */
  readonly transactions: SmtpTransaction[];
  /** Every command line as it came, over all connections. */
  readonly commands: string[];
  readonly authAttempts: { mechanism: string; user: string; password: string }[];
  connections: number;
  openConnections: number;
  /** Most connections that were open at once. */
  highWater: number;
}

export interface SmtpServerOptions {
  readonly script?: Readonly<Record<string, SmtpScriptEntry>>;
  /** EHLO keywords beside STARTTLS and AUTH, which follow from `tls` and `auth`. Default: PIPELINING 8BITMIME SMTPUTF8 SIZE. */
  readonly extensions?: readonly string[];
  /** Key and certificate: offers STARTTLS, or speaks TLS at once with `implicitTls`. */
  readonly tls?: {
    readonly key: string;
    readonly cert: string;
    readonly minVersion?: tls.SecureVersion;
    readonly maxVersion?: tls.SecureVersion;
  };
  readonly implicitTls?: boolean;
  /** Offers AUTH (only over TLS where `tls` is set) and refuses MAIL before a login. Default mechanisms: PLAIN LOGIN. */
  readonly auth?: { readonly user: string; readonly password: string; readonly mechanisms?: readonly string[] };
  /** Body bytes to swallow before `BODY` of the script is played. Default 1. */
  readonly bodyBytesBefore?: number;
  readonly port?: number;
}

export interface SmtpServer {
  readonly port: number;
  readonly received: SmtpReceived;
  /** Ends every connection at once, as a restart would. */
  dropConnections(): void;
  stop(): Promise<void>;
}

const defaultExtensions = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 36700160'];

export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const received: SmtpReceived = {
    transactions: [],
    commands: [],
    authAttempts: [],
    connections: 0,
    openConnections: 0,
    highWater: 0,
  };
  const sockets = new Set<net.Socket>();
  const uses = new Map<string, number>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    received.connections += 1;
    received.openConnections += 1;
    received.highWater = Math.max(received.highWater, received.openConnections);
    socket.once('close', () => {
      sockets.delete(socket);
      received.openConnections -= 1;
    });
    serve(socket, received.connections, options, received, uses);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    received,
    dropConnections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        dropConnections();
      }),
  };
}

/** One connection: collects bytes, cuts them into lines or a body, answers one after the other. */
function serve(
  plain: net.Socket,
  connection: number,
  options: SmtpServerOptions,
  received: SmtpReceived,
  uses: Map<string, number>,
): void {
  let socket: net.Socket = plain;
  let input: Buffer = Buffer.alloc(0);
  let body: Buffer[] | null = null;
  let bodyBytes = 0;
  let bodyPlayed = false;
  let running = false;
  let secure = false;
  let user: string | null = null;
  let from: string | null = null;
  let to: string[] = [];
  let parameters: string[] = [];
  /** Takes the next line instead of the command table: the steps of AUTH. */
  let continuation: ((line: string) => Promise<void>) | null = null;
  let timer: NodeJS.Timeout | undefined;

  const listen = (on: net.Socket): void => {
    socket = on;
    on.on('error', () => on.destroy());
    on.on('close', () => clearInterval(timer));
    on.on('data', (chunk: Buffer) => {
      input = input.length === 0 ? chunk : Buffer.concat([input, chunk]);
      void pump();
    });
  };

  const act = (answer: SmtpAnswer): void => {
    if (answer === 'hang') return;
    if (answer === 'close') socket.end();
    else if (answer === 'reset') plain.resetAndDestroy();
    else if (typeof answer === 'string') {
      socket.write(`${answer.replaceAll('\n', '\r\n')}\r\n`);
      if (answer.startsWith('421')) socket.end();
    } else if ('reply' in answer) {
      socket.write(`${answer.reply}\r\n`, () => act(answer.then));
    } else {
      timer = setInterval(() => socket.write(`${answer.trickle}\r\n`), answer.everyMs);
    }
  };

  /** What the script says for a verb, or undefined. */
  const scripted = async (verb: string, line: string): Promise<SmtpAnswer | undefined> => {
    const entry = options.script?.[verb];
    if (typeof entry === 'function') return entry({ line, connection, from, to });
    if (!Array.isArray(entry)) return entry as SmtpAnswer | undefined;
    const used = uses.get(verb) ?? 0;
    uses.set(verb, used + 1);
    return (entry as readonly SmtpAnswer[])[used];
  };

  const reply = async (verb: string, line: string, otherwise: string): Promise<string | null> => {
    const answer = (await scripted(verb, line)) ?? otherwise;
    act(answer);
    if (typeof answer === 'string') return /^\d{3}/.test(answer) ? answer : null;
    return 'reply' in answer ? answer.reply : null;
  };

  const forget = (): void => {
    from = null;
    to = [];
    parameters = [];
  };

  const ehlo = (): string => {
    const lines = ['scripted.test', ...(options.extensions ?? defaultExtensions)];
    if (options.tls !== undefined && !secure) lines.push('STARTTLS');
    if (options.auth !== undefined && (options.tls === undefined || secure)) {
      lines.push(`AUTH ${(options.auth.mechanisms ?? ['PLAIN', 'LOGIN']).join(' ')}`);
    }
    return lines.map((line, index) => `250${index === lines.length - 1 ? ' ' : '-'}${line}`).join('\n');
  };

  const login = async (mechanism: string, name: string, password: string, line: string): Promise<void> => {
    received.authAttempts.push({ mechanism, user: name, password });
    const right = options.auth?.user === name && options.auth.password === password;
    const said = await reply('AUTH', line, right ? '235 2.7.0 welcome' : '535 5.7.8 authentication failed');
    if (said?.startsWith('235') === true) user = name;
  };

  const decode = (text: string): string => Buffer.from(text, 'base64').toString('utf8');

  const auth = async (line: string): Promise<void> => {
    const [, mechanism = '', initial] = line.split(' ');
    const plainLogin = async (response: string): Promise<void> => {
      const [, name = '', password = ''] = decode(response).split('\0');
      await login('PLAIN', name, password, line);
    };
    switch (mechanism.toUpperCase()) {
      case 'PLAIN':
        if (initial !== undefined) return plainLogin(initial);
        act('334 ');
        continuation = plainLogin;
        return;
      case 'LOGIN':
        act('334 VXNlcm5hbWU6');
        continuation = async (name) => {
          act('334 UGFzc3dvcmQ6');
          continuation = async (password) => login('LOGIN', decode(name), decode(password), line);
        };
        return;
      default:
        await reply('AUTH', line, '504 5.5.4 unknown mechanism');
    }
  };

  const startTls = async (line: string): Promise<void> => {
    const said = await reply(
      'STARTTLS',
      line,
      options.tls === undefined ? '502 5.5.1 not offered' : '220 2.0.0 go ahead',
    );
    if (said?.startsWith('220') !== true || options.tls === undefined) return;
    plain.removeAllListeners('data');
    input = Buffer.alloc(0);
    secure = true;
    user = null;
    forget();
    listen(new tls.TLSSocket(plain, { isServer: true, ...options.tls }));
  };

  const command = async (line: string): Promise<void> => {
    received.commands.push(line);
    const verb = (/^[a-z]+/i.exec(line)?.[0] ?? '').toUpperCase();
    switch (verb) {
      case 'EHLO':
        forget();
        await reply(verb, line, ehlo());
        return;
      case 'HELO':
        forget();
        await reply(verb, line, '250 scripted.test');
        return;
      case 'STARTTLS':
        return startTls(line);
      case 'AUTH':
        return auth(line);
      case 'MAIL': {
        const path = /^MAIL FROM:<([^>]*)>(.*)$/i.exec(line);
        const open = options.auth === undefined || user !== null;
        const standard =
          path === null ? '501 5.5.4 syntax' : open ? '250 2.1.0 ok' : '530 5.7.0 authentication required';
        const said = await reply(verb, line, from === null ? standard : '503 5.5.1 nested MAIL');
        if (said?.startsWith('2') === true && path !== null) {
          from = path[1] ?? '';
          parameters = (path[2] ?? '').split(' ').filter((word) => word !== '');
        }
        return;
      }
      case 'RCPT': {
        const path = /^RCPT TO:<([^>]+)>/i.exec(line);
        const standard = from === null ? '503 5.5.1 MAIL first' : path === null ? '501 5.5.4 syntax' : '250 2.1.5 ok';
        const said = await reply(verb, line, standard);
        if (said?.startsWith('2') === true && path?.[1] !== undefined) to.push(path[1]);
        return;
      }
      case 'DATA': {
        const said = await reply(verb, line, to.length === 0 ? '503 5.5.1 RCPT first' : '354 go ahead');
        if (said?.startsWith('354') === true) {
          // The terminator is CRLF.CRLF, and the first CRLF may be the one that ended DATA (RFC 5321 section 4.1.1.4).
          body = [Buffer.from('\r\n')];
          bodyBytes = 0;
          bodyPlayed = false;
        }
        return;
      }
      case 'RSET':
        forget();
        await reply(verb, line, '250 2.0.0 ok');
        return;
      case 'NOOP':
        await reply(verb, line, '250 2.0.0 ok');
        return;
      case 'QUIT':
        if ((await reply(verb, line, '221 2.0.0 bye')) !== null) socket.end();
        return;
      default:
        await reply(verb, line, '500 5.5.2 unknown command');
    }
  };

  /** Takes what has arrived of a body; true once the final dot is in. */
  const takeBody = async (): Promise<boolean> => {
    if (body === null) return false;
    // The dot may be split over chunks: look at the end of what is there already, too.
    const last = body.at(-1) ?? Buffer.alloc(0);
    const tail = last.subarray(-4);
    const seam = Buffer.concat([tail, input]);
    const at = seam.indexOf('\r\n.\r\n');
    // Where the dot is in `input`; negative if it ended an earlier chunk.
    const dot = at === -1 ? null : at + 2 - tail.length;
    if (dot === null) {
      bodyBytes += input.length;
      // Chunks shorter than the terminator are joined, so that the tail above always sees four bytes.
      if (last.length < 64) body[body.length - 1] = Buffer.concat([last, input]);
      else if (input.length > 0) body.push(input);
      input = Buffer.alloc(0);
    }
    if (!bodyPlayed && bodyBytes >= (options.bodyBytesBefore ?? 1)) {
      bodyPlayed = true;
      const answer = await scripted('BODY', '');
      if (answer !== undefined) act(answer);
    }
    if (dot === null) return false;
    const whole = Buffer.concat([...body, input.subarray(0, Math.max(dot, 0))]);
    // A dot that ended within an earlier chunk took bytes of it with it.
    const bytes = dot < 0 ? whole.subarray(0, whole.length + dot) : whole;
    input = input.subarray(dot + 3);
    body = null;
    const transaction = { connection, from: from ?? '', to: [...to], parameters: [...parameters], secure, user };
    const said = await reply('.', '.', `250 2.0.0 queued as ${connection}-${received.transactions.length + 1}`);
    received.transactions.push({
      ...transaction,
      bytes: unstuff(bytes.subarray(2)),
      accepted: said?.startsWith('2') === true,
    });
    forget();
    return true;
  };

  const pump = async (): Promise<void> => {
    if (running) return;
    running = true;
    try {
      while (!plain.destroyed) {
        if (body !== null) {
          if (!(await takeBody()) && input.length === 0) return;
          continue;
        }
        const end = input.indexOf('\n');
        if (end === -1) return;
        const line = input.subarray(0, end).toString('utf8').replace(/\r$/, '');
        input = input.subarray(end + 1);
        const step = continuation;
        continuation = null;
        await (step === null ? command(line) : step(line));
      }
    } finally {
      running = false;
    }
  };

  if (options.implicitTls === true && options.tls !== undefined) {
    secure = true;
    plain.on('error', () => plain.destroy());
    listen(new tls.TLSSocket(plain, { isServer: true, ...options.tls }));
  } else {
    listen(plain);
  }
  void reply('CONNECT', '', '220 scripted.test ESMTP');
}

/** RFC 5321 section 4.5.2: a line that begins with a dot carries one more. */
function unstuff(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(text.replace(/^\.\./, '.').replaceAll('\r\n..', '\r\n.'), 'latin1');
}
