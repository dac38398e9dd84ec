/** Logs in: AUTH (RFC 4954) by the first mechanism that the server offers and serves. */
import { createHmac } from 'node:crypto';
import { ask, type SmtpChannel } from './channel.ts';
import { SmtpFailure } from './failure.ts';
import type { Login } from './login.ts';
import { namesCredentials } from './login-rules.ts';
import { codeOf } from './reader.ts';
import { classify } from './replies.ts';

/** In order of preference. PLAIN and LOGIN rely on TLS; CRAM-MD5 is for servers that offer nothing else. */
const mechanisms: Readonly<Record<Login['kind'], readonly string[]>> = {
  password: ['PLAIN', 'LOGIN', 'CRAM-MD5'],
  token: ['XOAUTH2'],
};

/** RFC 4954 section 4: the longest line of an exchange, in octets. */
const maxChallengeBytes = 12_288;

interface Exchange {
  readonly command: string;
  /** One response for each 334 of the server. */
  readonly responses: readonly ((challenge: string) => string)[];
}

/** `offered`: the server's mechanisms; null without AUTH. Rejects with SmtpFailure. */
export async function authenticate(
  channel: SmtpChannel,
  offered: readonly string[] | null,
  login: Login,
): Promise<void> {
  const usable = mechanisms[login.kind].filter((name) => offered?.includes(name));
  if (usable.length === 0) {
    const found = offered === null ? 'no AUTH' : `only AUTH ${offered.join(' ')}`;
    const text = `credentials are configured, but the server offers ${found}`;
    throw new SmtpFailure('auth', { code: 'ENOAUTH', text });
  }
  let refusal: SmtpFailure | null = null;
  for (const mechanism of usable) {
    try {
      await logIn(channel, exchangeOf(mechanism, login));
      return;
    } catch (error) {
      if (!(error instanceof SmtpFailure)) throw error;
      // Some servers close after a refusal, which is then the reason, and not the end of the connection.
      if (refusal !== null && !error.answered) throw refusal;
      refusal = error;
      if (!channel.usable || !refusesMechanism(error)) throw error;
    }
  }
  if (refusal !== null) throw refusal;
}

async function logIn(channel: SmtpChannel, { command, responses }: Exchange): Promise<void> {
  let reply = await say(channel, command);
  for (const respond of responses) {
    if (codeOf(reply) !== '334') break;
    reply = await say(channel, respond(reply.slice(4)));
  }
  if (codeOf(reply)?.startsWith('2') !== true) throw new SmtpFailure('auth', { server: reply });
}

/**
 * Whether the server refused the mechanism and not the login: 500 to 504 (RFC 4954 section 4), 534 (too weak) and 538 (section 6),
 * unless the text speaks of the login (Gmail: "534 5.7.9 Application-specific password required"). Another mechanism after a
 * wrong password would only be a second failed login, and servers count those.
 */
function refusesMechanism({ answered, reply }: SmtpFailure): boolean {
  if (!answered || namesCredentials(reply.text ?? '')) return false;
  const verdict = classify('auth', reply);
  return verdict.kind === 'fault' && verdict.fault === 'config';
}

function exchangeOf(mechanism: string, { user, secret }: Login): Exchange {
  switch (mechanism) {
    case 'LOGIN':
      // The prompts are "Username:" and "Password:" in base64, and servers vary them.
      return { command: 'AUTH LOGIN', responses: [() => base64(user), () => base64(secret)] };
    case 'CRAM-MD5':
      return { command: 'AUTH CRAM-MD5', responses: [(challenge) => cramMd5(challenge, user, secret)] };
    case 'XOAUTH2':
      // A refusal comes as a 334 with details; the empty response makes the server say the 535.
      return { command: `AUTH XOAUTH2 ${base64(xoauth2(user, secret))}`, responses: [() => ''] };
    default:
      // A server that passes over the response that comes with the command asks for it with a 334 (RFC 4954 section 4).
      return { command: `AUTH PLAIN ${plain(user, secret)}`, responses: [() => plain(user, secret)] };
  }
}

/** RFC 4616. */
function plain(user: string, secret: string): string {
  return base64(`\0${user}\0${secret}`);
}

/** RFC 2195. */
function cramMd5(challenge: string, user: string, secret: string): string {
  const text = challenge.length > maxChallengeBytes ? '' : challenge.trim();
  if (text === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw new SmtpFailure('auth', { code: 'EPROTOCOL', text: 'the challenge of the server is not base64' });
  }
  const digest = createHmac('md5', secret).update(Buffer.from(text, 'base64')).digest('hex');
  return base64(`${user} ${digest}`);
}

/** https://developers.google.com/workspace/gmail/imap/xoauth2-protocol#initial_client_response */
function xoauth2(user: string, token: string): string {
  return `user=${user}\u0001auth=Bearer ${token}\u0001\u0001`;
}

function base64(value: string): string {
  return Buffer.from(value, 'utf8').toString('base64');
}

async function say(channel: SmtpChannel, line: string): Promise<string> {
  const answer = await ask(channel, `${line}\r\n`);
  if (typeof answer === 'string') return answer;
  const { code, text, rest } = answer;
  // A refusal that was cut off is a refusal all the same.
  throw new SmtpFailure('auth', /^[45]\d\d[ -]/.test(rest) ? { server: rest } : { code, text });
}
