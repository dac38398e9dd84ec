/** What servers say to AUTH: a wrong password is one, and rates, quotas and troubles of the server are none, whatever their code. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classify, parseReply } from '../../../src/transport/smtp/replies.ts';
import { growsLinearly } from '../../support/growth.ts';

/** The fault, and the pause that was told. */
function said(reply: string): string {
  const verdict = classify('auth', parseReply(reply));
  if (verdict.kind !== 'fault') return verdict.outcome;
  return verdict.pauseMs === undefined ? verdict.fault : `${verdict.fault} ${verdict.pauseMs}`;
}

describe('a wrong password, or what a person must mend, is a fault auth:', () => {
  test.for([
    '535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6',
    // Postfix says so where SASL gives no reason.
    '535 5.7.8 Error: authentication failed: (reason unavailable)',
    '535 5.7.8 Authentication credentials invalid',
    '535 5.7.8 Error: authentication failed: Invalid user or password!',
    '535-5.7.8 Username and Password not accepted.\n535 5.7.8  https://support.google.com/mail/?p=BadCredentials',
    '534-5.7.9 Application-specific password required.',
    '534-5.7.14 Please log in via your web browser and then try again later.\n534 5.7.14  Learn more',
    '535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]',
    '535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.',
    '535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.',
    '550 5.7.30 Basic authentication is not supported for Client Submission.',
    // All of QQ's reasons in one reply; one of them is the password.
    '535 Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy.',
    '535 Incorrect authentication data',
    '535 Authentication Credentials Invalid',
    '535 Authentication failed, check your password and try again',
    '535 5.7.8 password has expired',
    '535 5.7.8 Password exceeds the maximum age',
    '535 5.7.8 account locked',
    '535 Authentication not allowed on IBSMTP Servers. IB401',
    '432 4.7.12 A password transition is needed',
    // With a code of the temporary kind, too: another try in 5 s would be another failed login.
    '454 4.7.8 invalid credentials',
    '421 4.7.0 wrong user name or password, closing',
    '535',
  ])('%s', (reply) => expect(said(reply)).toBe('auth'));
});

describe('a rate, a quota or a told time is none:', () => {
  test.for<[string, string]>([
    ['550 Too many messages. Try again in 92 seconds', 'throttled 92000'],
    ['535 5.7.8 Error: authenticate too many times', 'throttled'],
    ['451 Authentication failed: Maximum credits exceeded', 'quota'],
    ['535 5.7.0 Daily sending quota exceeded', 'quota'],
    ['550 5.7.0 monthly limit reached, upgrade your plan', 'quota'],
    ['535 You are out of credits', 'quota'],
    ['535 5.7.1 insufficient balance', 'quota'],
    ['550 5.4.6 Unusual sending activity detected. Please try after sometime.', 'quota'],
    ['454 4.7.0 Too many login attempts, please try again later.', 'throttled'],
    ['454 Throttling failure: Maximum sending rate exceeded.', 'throttled'],
    ['535 Error: login frequency limited', 'throttled'],
    ['550 5.7.1 login too frequent', 'throttled'],
    ['535 5.7.1 Maximum number of connections exceeded', 'throttled'],
    ['554 5.7.0 concurrent sessions limit', 'throttled'],
    ['535 5.7.8 slow down', 'throttled'],
    ['550 sending limit of 500 messages per hour reached', 'throttled'],
    ['500 5.5.1 too many bad commands', 'throttled'],
    ['421 4.7.0 too many errors', 'throttled'],
    ['421 HL:ICC 163 smtp10,DsCowEB5C0NsbkdW', 'throttled'],
    ['535 Authentication failed. Try again in 3 seconds', 'throttled 3000'],
    ['535 5.7.8 login disabled, wait 1 day', 'throttled 86400000'],
    ['535 5.7.8 Dynamic screening: this address is blocked for 10 minutes', 'throttled 600000'],
    ['454 4.7.0 Temporary authentication failure, retry in 2 minutes', 'unreachable 120000'],
  ])('%s → %s', ([reply, expected]) => expect(said(reply)).toBe(expected));
});

describe('words of other languages name a rate or trouble:', () => {
  test.for<[string, string]>([
    ['535 5.7.8 zu viele Anmeldungen', 'throttled'],
    ['550 trop de connexions', 'throttled'],
    ['535 demasiados intentos', 'throttled'],
    ['550 登录过于频繁', 'throttled'],
    ['550 系统繁忙，请60秒后再试', 'throttled 60000'],
    ['535 vorübergehend gestört', 'unreachable'],
    ['550 service temporairement indisponible', 'unreachable'],
    ['535 Anmeldung fehlgeschlagen', 'auth'],
    ['535 échec de l’authentification', 'auth'],
  ])('%s → %s', ([reply, expected]) => expect(said(reply)).toBe(expected));
});

test.for([
  '535 IP not authorized',
  '535 5.7.0 Authentication rejected, your IP address is blocked',
  '550 5.7.1 login from your country is not permitted',
  '554 5.7.1 client [192.0.2.1] is blacklisted',
])('a login that is refused for its host is blocked: %s', (reply) => expect(said(reply)).toBe('blocked'));

describe('a limit of failed logins pauses as a quota, as each try could begin it anew:', () => {
  test.for<[string, string]>([
    ['535 5.7.0 (#AUTH005) Too many bad auth attempts.', 'quota'],
    ['451 Requested mail action not taken: too much fail authentication', 'quota'],
    ['535 Authentication failed. Too many invalid logon attempts.', 'quota'],
    ['421 Too many authentication failures', 'quota'],
    ['535 maximum number of failed login attempts reached', 'quota'],
    ['535 5.7.8 account temporarily locked', 'quota'],
    ['535 Too many failed logins, try again in 15 minutes', 'quota 900000'],
  ])('%s → %s', ([reply, expected]) => expect(said(reply)).toBe(expected));
});

describe('a told time beside a wrong password', () => {
  test.for<[string, string]>([
    ['535 Invalid password. Try again in 3 seconds', 'auth'],
    ['535 Invalid password. Try again in 10 minutes', 'throttled 600000'],
  ])('is kept if it is no shorter than its pause: %s → %s', ([reply, expected]) => expect(said(reply)).toBe(expected));
});

describe('the server’s own trouble is a fault unreachable:', () => {
  test.for([
    '454 4.7.0 Temporary authentication failure: Connection lost to authentication server',
    '535 5.7.8 Error: authentication failed: temporary failure',
    '451 4.7.0 Temporary server error. Please try again later. PRX4',
    '550 5.3.0 internal error',
    '535 authentication backend unavailable',
    '550 unable to contact the directory',
    '500 5.3.2 down for maintenance',
    '435 Unable to authenticate at present',
    '454 4.7.0 authentication failed',
  ])('%s', (reply) => expect(said(reply)).toBe('unreachable'));
});

describe('a mechanism that is not served, or TLS that is asked for, is the configuration’s:', () => {
  test.for([
    '504 5.5.4 Unrecognized authentication type',
    '504 5.7.4 Unrecognized authentication type',
    '504',
    '501 5.5.4 Optional argument not permitted for that AUTH mode',
    '502 5.5.1 command not implemented',
    '503 5.5.1 AUTH not available',
    '534 5.7.9 Authentication mechanism is too weak',
    '535 5.7.8 Error: authentication failed: Invalid authentication mechanism',
    '538 5.7.11 Encryption required for requested authentication mechanism',
    '530 5.7.0 Must issue a STARTTLS command first',
    '550 5.7.1 requires TLS 1.2 or later',
  ])('%s', (reply) => expect(said(reply)).toBe('config'));
});

test('no reply to AUTH blames a message, and only a refusal is a wrong password', () => {
  const word = fc.constantFrom(
    'password',
    'invalid',
    'too',
    'many',
    'try again',
    'in',
    '5',
    'seconds',
    'quota',
    'later',
  );
  const reply = fc
    .tuple(fc.integer({ min: 200, max: 599 }), fc.array(fc.oneof(word, fc.string()), { maxLength: 8 }))
    .map(([code, words]) => `${code} ${words.join(' ')}`);
  const lies = fc.check(
    fc.property(reply, (text) => {
      const verdict = classify('auth', parseReply(text));
      return verdict.kind === 'fault' && (verdict.fault !== 'auth' || /^[45]/.test(text));
    }),
  );
  expect(lies.counterexample).toBeNull();
});

test.for(['too many ', 'password ', 'exceeded max ', 'invalid a or b ', 'temporar ', 'server a '])(
  'attack: a long text of "%s" is judged in linear time',
  async (part) => {
    const reply = (size: number): { code: string; enhancedCode: null; text: string } => ({
      code: '535',
      enhancedCode: null,
      text: part.repeat(size),
    });
    expect(await growsLinearly((size) => void classify('auth', reply(size)), 20_000)).toBe(true);
  },
);
