/** One connection of the scripted server: splits the input into lines and bodies, and answers them one after the other. */
import type net from 'node:net';
import tls from 'node:tls';
import { readBody, type BodyReader } from './body.ts';
import type { SmtpAnswer, SmtpReceived, SmtpServerOptions } from './script.ts';

const defaultExtensions = ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 36700160'];

/** `uses` counts how often each list of the script was used, by all connections. */
export function converse(
  plain: net.Socket,
  connection: number,
  options: SmtpServerOptions,
  received: SmtpReceived,
  uses: Map<string, number>,
): void {
  const { hostname = 'scripted.test', record = true } = options;
  let socket: net.Socket = plain;
  let input: Buffer = Buffer.alloc(0);
  let body: BodyReader | null = null;
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

  /** The script's answer to a verb, or undefined. */
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
    const lines = [hostname, ...(options.extensions ?? defaultExtensions)];
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
      case 'XOAUTH2': {
        const [name = '', token = ''] = decode(initial ?? '').split('\u0001');
        return login('XOAUTH2', name.replace(/^user=/, ''), token.replace(/^auth=Bearer /, ''), line);
      }
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
    if (record) received.commands.push(line);
    const verb = (/^[a-z]+/i.exec(line)?.[0] ?? '').toUpperCase();
    switch (verb) {
      case 'EHLO':
        forget();
        await reply(verb, line, ehlo());
        return;
      case 'HELO':
        forget();
        await reply(verb, line, `250 ${hostname}`);
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
          body = readBody();
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

  /** Reads what has arrived of a body; true once its end is there. */
  const takeBody = async (): Promise<boolean> => {
    if (body === null) return false;
    const { bytes, rest } = body.take(input);
    input = rest;
    if (!bodyPlayed && body.size() >= (options.bodyBytesBefore ?? 1)) {
      bodyPlayed = true;
      const answer = await scripted('BODY', '');
      if (answer !== undefined) act(answer);
    }
    if (bytes === null) return false;
    body = null;
    const envelope = { connection, from: from ?? '', to: [...to], parameters: [...parameters], secure, user };
    const said = await reply('.', '.', `250 2.0.0 queued as ${connection}-${received.transactions.length + 1}`);
    const transaction = { ...envelope, bytes, accepted: said?.startsWith('2') === true };
    if (record) received.transactions.push(transaction);
    if (transaction.accepted) options.onMessage?.(transaction);
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
  void reply('CONNECT', '', `220 ${hostname} ESMTP`);
}
