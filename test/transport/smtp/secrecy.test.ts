/** What an SMTP server says of the password never leaves the transport, whenever and however it says it. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, smtpPair } from '../../support/smtp-client.ts';

const login = { user: 'relay', password: 'correct horse battery' };
const plain = { auth: login, allowInsecureAuth: true };
const base64 = Buffer.from(`\0${login.user}\0${login.password}`).toString('base64');

/** Eight characters in a row of the password, or of it in base64. */
function shows(text: string): string[] {
  const forms = [login.password, base64.slice(8)];
  const pieces = forms.flatMap((form) => Array.from({ length: form.length - 7 }, (_, at) => form.slice(at, at + 8)));
  return pieces.filter((piece) => text.includes(piece));
}

describe.each<[string, string]>([
  ['whole', login.password],
  ['cut', login.password.slice(0, 13)],
  ['in base64', base64],
  ['in base64 that is cut', base64.slice(0, 23)],
  ['in base64 over two lines', `${base64.slice(0, 20)}\nCODE ${base64.slice(20)}`],
  ['in quoted-printable', login.password.replaceAll(' ', '=20')],
])('attack: a server that repeats the password %s', (_, repeated) => {
  test.each([
    ['CONNECT', '554'],
    ['EHLO', '421'],
    ['AUTH', '535'],
    ['MAIL', '530'],
    ['RCPT', '550'],
    ['DATA', '554'],
    ['.', '250'],
    ['.', '554'],
  ])('in its reply to %s (%s) gets it into no outcome', async (verb, code) => {
    const lines = repeated.split('\nCODE ');
    const reply = lines.map((line, index) => `${code}${index < lines.length - 1 ? '-' : ' '}5.7.8 I heard ${line}`);
    const { transport } = await smtpPair({ auth: login, script: { [verb]: () => reply.join('\n') } }, plain);
    const outcome = JSON.stringify(await sendBy(transport, mailOf()));
    expect(outcome).toContain('***');
    expect(shows(outcome)).toEqual([]);
  });

  test('gets it into no check', async () => {
    const { transport } = await smtpPair({ auth: login, script: { AUTH: () => `535 5.7.8 ${repeated}` } }, plain);
    const result = JSON.stringify(await transport.check(new AbortController().signal));
    expect(shows(result)).toEqual([]);
  });
});
