/** Secrets in the words of a server: whatever form they take, nothing of them leaves the transport. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMask, maskCheck, maskOutcome, privateKeysOf } from '../../src/transport/mask.ts';
import { growsLinearly } from '../support/growth.ts';

const secret = 'pä-ss_w0rd=of/Relay+42';
const mask = createMask(() => [secret]);
const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
const quotedPrintable = (text: string): string =>
  [...Buffer.from(text, 'utf8')].map((byte) => `=${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('');

describe('attack: a server that repeats the secret', () => {
  test.each<[string, string, string]>([
    ['as it is', `535 wrong: ${secret}`, '535 wrong: ***'],
    ['in another case', '535 pä-SS_W0RD=OF/RELAY+42!', '535 ***!'],
    ['cut at its end', `535 ${secret.slice(0, 11)}`, '535 ***'],
    ['cut at its beginning', `535 ${secret.slice(-9)}`, '535 ***'],
    ['in two lines', `535 ${secret.slice(0, 10)} ${secret.slice(10)}`, '535 ***'],
    ['in base64', `500 AUTH PLAIN ${base64(`\0relay\0${secret}`)}`, '500 AUTH PLAIN ***'],
    ['in base64 of another user', `500 ${base64(`someone\0s\0${secret}`)} ?`, '500 *** ?'],
    ['in base64, cut', `500 AUTH PLAIN ${base64(`\0relay\0${secret}`).slice(0, 26)}…`, '500 AUTH PLAIN ***…'],
    ['in folded base64', `500 ${base64(`\0relay\0${secret}`).replace(/.{12}/g, '$& ')}`, '500 ***'],
    ['in base64 for URLs', `500 ${Buffer.from(`\0r\0${secret}`).toString('base64url')}`, '500 ***'],
    ['in upper-case base64', `500 ${base64(secret).toUpperCase()}`, '500 ***'],
    ['in quoted-printable', `500 ${quotedPrintable(secret)}`, '500 ***'],
    ['in parts quoted-printable', '500 p=C3=A4-ss_w0rd=3Dof/Relay+42', '500 ***'],
    ['over a soft line break', '500 p=C3=A4-ss_w= 0rd=3Dof/Relay+42', '500 ***'],
    ['percent-encoded', `400 client_secret=${encodeURIComponent(secret)}&x`, '400 client_secret=***&x'],
    [
      'as bytes that are no UTF-8 any more',
      Buffer.from(`500 \xff ${Buffer.from(secret).toString('latin1')}`, 'latin1').toString('latin1'),
      '500 ÿ ***',
    ],
  ])('%s shows nothing of it', (_, text, expected) => {
    expect(mask(text)).toBe(expected);
  });

  test('anywhere in a text, encoded at any offset and cut anywhere, shows no eight characters of it', () => {
    const form = fc.constantFrom(
      (text: string) => text,
      (text: string) => text.toUpperCase(),
      base64,
      (text: string) => base64(`x${text}`),
      (text: string) => base64(`xy${text}`),
      quotedPrintable,
    );
    const shownPieces = (own: string, encode: (text: string) => string, before: string, after: string): string[] => {
      const shown = createMask(() => [own])(`${before} ${encode(own)} ${after}`).toLowerCase();
      const pieces = Array.from({ length: own.length - 7 }, (_, at) => own.slice(at, at + 8).toLowerCase());
      // What the words around it contain anyway is not the server's repetition.
      const around = `${before}\n${after}\n***`.toLowerCase();
      return pieces.filter((piece) => shown.includes(piece) && !around.includes(piece));
    };
    const own = fc.string({ minLength: 9, maxLength: 40 });
    const leak = fc.check(
      fc.property(own, form, fc.string(), fc.string(), (...input) => shownPieces(...input).length === 0),
      { numRuns: 300 },
    );
    expect(leak.counterexample).toBeNull();
  });

  test('in a text of any length takes linear time', async () => {
    const token = createMask(() => ['x'.repeat(2_000) + secret]);
    expect(await growsLinearly((size) => void token('x'.repeat(7).padEnd(size, '=+%/ x')), 100_000)).toBe(true);
  });
});

test('a text without the secret stays as it is', () => {
  const text = '554 5.7.1 <a@example.net>: Relay access denied; p%zz=4 100% "ü" =';
  expect(mask(text)).toBe(text);
});

test('short secrets are masked as a whole, and what is shorter than three characters never', () => {
  const short = createMask(() => ['hunter2', 'ab', '']);
  expect(short('535 hunter2 about hunt')).toBe('535 *** about hunt');
});

test('a token that was replaced is masked as the new one is', () => {
  let tokens = ['a1b2c3d4e5f6'];
  const current = createMask(() => tokens);
  expect(current('a1b2c3d4e5f6 zyxwvutsrqpo')).toBe('*** zyxwvutsrqpo');
  tokens = ['zyxwvutsrqpo', 'a1b2c3d4e5f6'];
  expect(current('a1b2c3d4e5f6 zyxwvutsrqpo')).toBe('*** ***');
});

test('every text of an outcome and of a check is masked, and its codes are kept', () => {
  const reply = { code: '535', enhancedCode: secret, text: `no ${secret}` };
  const clean = { code: '535', enhancedCode: '***', text: 'no ***' };
  expect(maskOutcome({ kind: 'connector-fault', fault: 'auth', reply }, mask)).toMatchObject({ reply: clean });
  const recipient = { address: 'a@example.net', outcome: 'rejected', scope: 'recipient', reply } as const;
  expect(maskOutcome({ kind: 'settled', recipients: [recipient] }, mask)).toMatchObject({
    recipients: [{ reply: clean }],
  });
  expect(maskCheck({ ok: false, fault: 'auth', reply }, mask)).toMatchObject({ reply: clean });
  expect(maskCheck({ ok: true, detail: `as ${secret}` }, mask)).toEqual({ ok: true, detail: 'as ***' });
});

test('of PEM text the private keys are secret, and neither the armour nor the certificates', () => {
  const pem = `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\nBBBB\nCCCC\n-----END RSA PRIVATE KEY-----\n`;
  expect(privateKeysOf(pem)).toEqual(['BBBBCCCC']);
});
