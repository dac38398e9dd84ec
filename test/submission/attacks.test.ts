/** What an attacker tries at an SMTP server that is open to a network. Each test is named after the attack. */
import { beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import {
  mailIn,
  open,
  password,
  startSubmission,
  starttls,
  submissionKit,
  type SubmissionKit,
} from '../support/submission.ts';
import { openSession } from '../support/smtp-session.ts';

let kit: SubmissionKit;
beforeAll(async () => void (kit = await submissionKit()));

const data = 'From: erp@example.com\r\nSubject: x\r\n\r\nx\r\n';
const mail = { from: 'erp@example.com', to: ['a@example.net'], data };

describe('SMTP smuggling: only CRLF . CRLF ends the data', () => {
  const second =
    'MAIL FROM:<erp@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nFrom: erp@example.com\r\n\r\nsmuggled\r\n';
  test.each(['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r', '\r\n.\r', '\r.\n', '\r\n\0.\r\n', '\r\n. \r\n', '\r\n.\r\r\n'])(
    'not %j',
    async (end) => {
      const here = await startSubmission(kit);
      const session = await here.open({ user: 'erp' });
      expect(await session.send({ ...mail, data: `${data}hello${end}${second}` })).toMatch(/^250 2\.0\.0 queued as /);
      session.write('QUIT\r\n');
      expect(await session.ended()).toMatch(/^221 /);
      const queued = await here.queued();
      expect(queued.map(({ envelope }) => envelope.to)).toEqual([['a@example.net']]);
      expect(mailIn(queued[0]!)).toContain('smuggled');
    },
  );

  test('however the bytes are cut', async () => {
    const here = await startSubmission(kit);
    const session = await here.open({ user: 'erp' });
    for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
    for (const byte of `${data}..a\r\n..\r\n.\r\n`) {
      session.write(byte);
      await new Promise(setImmediate);
    }
    expect(await session.reply()).toMatch(/^250 /);
    expect(mailIn((await here.queued())[0]!).endsWith('x\r\n.a\r\n.\r\n')).toBe(true);
  });
});

test('STARTTLS injection: what was sent in plain text behind STARTTLS is thrown away', async () => {
  const here = await startSubmission(kit);
  const session = await openSession({ port: here.ports[0]! });
  await session.reply();
  await session.say('EHLO me');
  session.write('STARTTLS\r\nEHLO injected\r\nRSET\r\nMAIL FROM:<erp@example.com>\r\n');
  expect(await session.reply()).toMatch(/^220 /);
  await session.startTls({ ca: kit.certificates.ca });
  // The first reply within TLS is the one to the first command within TLS.
  expect(await session.say('NOOP')).toBe('250 2.0.0 OK');
  expect(await session.say('MAIL FROM:<erp@example.com>')).toMatch(/^503 5\.5\.1 /);
});

test('AUTH before TLS is refused before a password is asked for', async () => {
  const here = await startSubmission(kit);
  const session = await here.open();
  expect(await session.say('AUTH LOGIN')).toMatch(/^538 5\.7\.11 /);
  expect(await session.say('AUTH PLAIN')).toMatch(/^538 5\.7\.11 /);
});

describe('guessing passwords', () => {
  const guess = async (here: Awaited<ReturnType<typeof startSubmission>>, user: string, localAddress: string) => {
    const session = await here.open({ tls: true, localAddress });
    const said = await session.login(user, 'wrong');
    session.end();
    return said.slice(0, 9);
  };

  test('ten failures from an address end it, whatever the users', async () => {
    const here = await startSubmission(kit);
    const said = [];
    for (let i = 0; i < 11; i += 1) said.push(await guess(here, `user${i}`, '127.0.0.9'));
    expect(said).toEqual([...Array.from({ length: 10 }, () => '535 5.7.8'), '421 4.7.0']);
    const right = await here.open({ tls: true, localAddress: '127.0.0.9' });
    expect(await right.login('erp', password)).toMatch(/^421 4\.7\.0 /);
    expect(here.of('login-failed').at(-1)).toEqual({
      event: 'login-failed',
      user: 'erp',
      address: '127.0.0.9',
      reason: 'login-blocked',
    });
  });

  test('ten failures of a user end it from everywhere, but where the user has logged in before', async () => {
    const here = await startSubmission(kit);
    const known = await here.open({ tls: true, localAddress: '127.0.0.2' });
    expect(await known.login('erp', password)).toMatch(/^235 /);
    const said = [];
    for (let i = 0; i < 11; i += 1) said.push(await guess(here, 'erp', `127.0.1.${i + 1}`));
    expect(said.at(-1)).toBe('421 4.7.0');
    // In another process, which does not remember the login.
    const other = await startSubmission(kit, { prefix: here.prefix });
    const stranger = await other.open({ tls: true, localAddress: '127.0.0.3' });
    expect(await stranger.login('erp', password)).toMatch(/^421 4\.7\.0 /);
    const again = await other.open({ tls: true, localAddress: '127.0.0.2' });
    expect(await again.login('erp', password)).toMatch(/^235 /);
  });

  test('many guesses at once are not more than ten', async () => {
    const here = await startSubmission(kit);
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => here.open({ tls: true, localAddress: '127.0.0.8' })),
    );
    const said = await Promise.all(sessions.map((session, i) => session.login('erp', `guess-${i}`)));
    expect(said.filter((each) => each.startsWith('535')).length).toBe(10);
    expect(said.filter((each) => each.startsWith('421')).length).toBe(10);
  });

  test('fifty connections of a user at once are one login', async () => {
    const here = await startSubmission(kit);
    const sessions = await Promise.all(Array.from({ length: 50 }, () => here.open({ tls: true })));
    const said = await Promise.all(sessions.map((session) => session.login('erp', password)));
    expect(new Set(said.map((each) => each.slice(0, 9)))).toEqual(new Set(['235 2.7.0']));
  });

  test('a password of megabytes, another user behind the login, and a broken token cost no hash', async () => {
    const here = await startSubmission(kit);
    const session = await here.open({ tls: true });
    expect(await session.login('erp', 'x'.repeat(1_100))).toMatch(/^535 5\.7\.8 /);
    const borrowed = Buffer.from(`boss\0erp\0${password}`).toString('base64');
    expect(await session.say(`AUTH PLAIN ${borrowed}`)).toMatch(/^535 5\.7\.8 /);
    expect(await session.say('AUTH PLAIN !!!')).toMatch(/^501 5\.5\.4 /);
    expect(await session.say('AUTH CRAM-MD5')).toMatch(/^504 5\.5\.4 /);
  });
});

test('header injection by the options: what they say stays out of the header', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: [erp@example.com], options: true'] });
  const session = await here.open({ user: 'erp' });
  const evil = '=?utf-8?q?x=0D=0ABcc:_victim=40example.net?=';
  const said = await session.send({ ...mail, data: `X-Postlane-Metadata-Note: ${evil}\r\n${data}` });
  expect(said).toMatch(/^250 /);
  const [queued] = await here.queued();
  expect(queued?.metadata).toEqual({ note: 'x\r\nBcc: victim@example.net' });
  expect(mailIn(queued!)).not.toContain('victim');
  expect(await session.send({ ...mail, data: `X-Postlane-Id: ${evil}\r\n${data}` })).toMatch(/^554 5\.6\.0 [^\n]*$/);
  expect(await session.send({ ...mail, data: `X-Postlane-Id: __proto__\r\n${data}` })).toMatch(
    /^250 2\.0\.0 queued as __proto__$/,
  );
  expect(await session.send({ ...mail, data: `X-Postlane-Metadata-__proto__: x\r\n${data}` })).toMatch(/^(?:250|554) /);
});

test('header injection by EHLO: what a client calls itself does not become a field', async () => {
  const here = await startSubmission(kit, { listeners: [open] });
  const session = await openSession({ port: here.ports[0]! });
  await session.reply();
  await session.say('EHLO x)(y;by=evil');
  await session.send(mail);
  expect(mailIn((await here.queued())[0]!)).toMatch(/^Received: from unknown \(\[127\.0\.0\.1\]\)\r\n/);
});

test('reply injection: a client’s own words in a reply stay on one line of ASCII', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const said = await session.send({ ...mail, data: 'From: "\u2028é" <x\x01250 ok>\r\n\r\nx\r\n' });
  expect(said).toMatch(/^55\d 5\.\d\.\d [ -~]*$/);
});

test('lines of kilobytes: a command is cut off, a line of data is kept', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const line = 'x'.repeat(200_000);
  expect(await session.send({ ...mail, data: `${data}${line}\r\n` })).toMatch(/^250 /);
  session.write(`MAIL FROM:<${'x'.repeat(5_000)}`);
  expect(await session.ended()).toMatch(/^421 .*too long/);
});

test('a command without an end is cut off when it is too long, not when it ends', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ tls: true });
  session.write(Buffer.alloc(64 * 1024, 'x'));
  expect(await session.ended()).toMatch(/^421 /);
});

test('NUL in the header is refused, and in the body it is kept for the composer', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  expect(await session.send({ ...mail, data: 'From: erp@example.com\0\r\n\r\nx\r\n' })).toMatch(/^554 5\.6\.0 .*NUL/);
  expect(await session.send({ ...mail, data: 'From: erp@example.com\rX: y\r\n\r\nx\r\n' })).toMatch(
    /^554 5\.6\.0 .*bare CR/,
  );
  expect(await session.send({ ...mail, data: `${data}a\0b\r\n` })).toMatch(/^250 /);
  expect(mailIn((await here.queued())[0]!)).toContain('a\0b');
});

test('octets above 127 in the header without SMTPUTF8: taken in names and text as devices send them, and not in an address', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: ["*@example.com"]'] });
  const session = await here.open({ user: 'erp' });
  const latin1 = Buffer.from('From: M\xfcller <erp@example.com>\r\nSubject: Gr\xfc\xdfe\r\n\r\n\xe4\r\n', 'latin1');
  expect(await session.send({ ...mail, data: latin1 })).toMatch(/^250 /);
  const [queued] = await here.queued();
  expect(mailIn(queued!)).toContain('M\xfcller');
  expect(await session.send({ ...mail, data: 'From: erpé@example.com\r\n\r\nx\r\n' })).toMatch(
    /^550 5\.7\.1 .*SMTPUTF8/,
  );
});

test('a header of more fields or bytes than a header may have is refused', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  expect(await session.send({ ...mail, data: `${'X: y\r\n'.repeat(6_000)}${data}` })).toMatch(/^554 5\.6\.0 /);
  expect(await session.send({ ...mail, data: `${`X: ${'y'.repeat(900)}\r\n`.repeat(400)}${data}` })).toMatch(
    /^554 5\.6\.0 /,
  );
});

test('a mail loop ends after a hundred hops', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const hop = 'Received: from a by b; Sat, 28 Nov 2026 00:00:00 +0000\r\n';
  expect(await session.send({ ...mail, data: `${hop.repeat(100)}${data}` })).toMatch(/^250 /);
  expect(await session.send({ ...mail, data: `${hop.repeat(101)}${data}` })).toMatch(/^554 5\.4\.6 /);
});

test('commands without end, known or not, end the session', async () => {
  const here = await startSubmission(kit);
  const user = await here.open({ user: 'erp' });
  user.write('NOOP\r\n'.repeat(500));
  expect(await user.ended()).toMatch(/421 4\.7\.0 Too many commands without a message; closing\r\n$/);
  const unknown = await here.open({ user: 'erp' });
  unknown.write('FOO\r\n'.repeat(500));
  expect((await unknown.ended()).split('\r\n').filter((line) => line.startsWith('500'))).toHaveLength(9);
  const browser = await openSession({ port: here.ports[0]! });
  await browser.reply();
  browser.write('POST / HTTP/1.1\r\nHost: x\r\n\r\n');
  expect(await browser.ended()).toMatch(/^421 /);
});

test('five hundred recipients are no flood of commands', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  for (let round = 0; round < 2; round += 1) {
    const to = Array.from({ length: 500 }, (_, i) => `r${i}@example.net`);
    session.write(`MAIL FROM:<erp@example.com>\r\n${to.map((each) => `RCPT TO:<${each}>\r\n`).join('')}DATA\r\n`);
    for (let i = 0; i < 502; i += 1) expect(await session.reply()).toMatch(/^(?:250|354) /);
    session.write(`${data}.\r\n`);
    expect(await session.reply()).toMatch(/^250 2\.0\.0 queued as /);
  }
  expect(await here.queued()).toHaveLength(2);
});

test('one that talks before the greeting is sent away', async () => {
  const here = await startSubmission(kit);
  const session = await openSession({ port: here.ports[0]!, first: 'EHLO me\r\nMAIL FROM:<erp@example.com>\r\n' });
  expect(await session.ended()).toMatch(/^421 /);
});

describe('slowloris', () => {
  test('one that sends a byte now and then holds a place for a minute before the login, and five minutes behind it', async () => {
    let now = 0;
    const here = await startSubmission(kit, { monotonic: () => now });
    const [stranger, user] = [await here.open({ tls: true }), await here.open({ user: 'erp' })];
    for (now = 0; now < 59_000; now += 1_000) {
      stranger.write('N');
      user.write('N');
    }
    await until(() => here.submission.state().clients === 2, { what: 'both to be there' });
    now = 66_000;
    expect(await stranger.ended()).toBe('421 4.4.2 Timeout; closing\r\n');
    now = 299_000;
    user.write('N');
    await until(() => here.submission.state().clients === 1, { what: 'the user alone to be there' });
    now = 371_000;
    expect(await user.ended()).toBe('421 4.4.2 Timeout; closing\r\n');
  });

  test('data of less than 500 bytes a second end the session, and free what they held', async () => {
    let now = 0;
    const here = await startSubmission(kit, { monotonic: () => now });
    const session = await here.open({ user: 'erp' });
    for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
    session.write('From: erp@example.com\r\n');
    await until(() => here.submission.state().bytesHeld > 0, { what: 'data to be held' });
    now = 61_000;
    expect(await session.ended()).toBe('421 4.4.2 Too slow; closing\r\n');
    await until(() => here.submission.state().bytesHeld === 0, { what: 'nothing to be held' });
    expect(here.of('submission-aborted')).toHaveLength(1);
    expect(await here.queued()).toEqual([]);
  });

  test('a client that sends data for ever is cut off behind twice the greatest size', async () => {
    const here = await startSubmission(kit, { rest: ['message: { maxSize: 64KiB }'] });
    const session = await here.open({ user: 'erp' });
    for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
    const block = Buffer.alloc(16 * 1024, 'x\r\n');
    for (let i = 0; i < 20; i += 1) session.write(block);
    expect(await session.ended()).toMatch(/^552 5\.3\.4 /);
    await until(() => here.submission.state().clients === 0, { what: 'the client to be gone' });
  });
});

test('connections without end: the process takes maxClients, and a quarter of them from one stranger', async () => {
  const here = await startSubmission(kit, { settings: ['maxClients: 40'] });
  const sessions = await Promise.all(Array.from({ length: 10 }, () => openSession({ port: here.ports[0]! })));
  for (const session of sessions) expect(await session.reply()).toMatch(/^220 /);
  const eleventh = await openSession({ port: here.ports[0]! });
  expect(await eleventh.ended()).toBe('421 4.3.2 Too many connections; try again later\r\n');
  const elsewhere = await openSession({ port: here.ports[0]!, localAddress: '127.0.0.7' });
  expect(await elsewhere.reply()).toMatch(/^220 /);
});

test('a PROXY header counts from listed proxies alone', async () => {
  const listener = starttls.replace('security:', 'proxies: [127.0.0.4], security:');
  const here = await startSubmission(kit, { listeners: [listener] });
  const header = 'PROXY TCP4 203.0.113.9 127.0.0.1 5555 587\r\n';
  const trusted = await openSession({ port: here.ports[0]!, localAddress: '127.0.0.4', first: header });
  expect(await trusted.reply()).toMatch(/^220 /);
  await trusted.say('EHLO me');
  await trusted.say('STARTTLS');
  await trusted.startTls({ ca: kit.certificates.ca });
  await trusted.say('EHLO me');
  await trusted.login('erp', password);
  await trusted.send(mail);
  expect(here.of('submitted')).toMatchObject([{ address: '203.0.113.9' }]);
  const forged = await openSession({ port: here.ports[0]!, first: header });
  expect(await forged.ended()).toMatch(/^421 /);
  const missing = await openSession({ port: here.ports[0]!, localAddress: '127.0.0.4', first: 'EHLO me\r\n' });
  expect(await missing.ended()).toBe('');
});

test('a client without the certificate that the listener wants is not spoken to', async () => {
  const { untrusted, server, ca } = kit.certificates;
  const listener = starttls.replace('tls: {', 'tls: { clientCa: ca.pem,').replace('starttls', 'tls');
  const here = await startSubmission(kit, { listeners: [listener] });
  const port = here.ports[0]!;
  for (const own of [{}, untrusted]) {
    const session = await openSession({ port, tls: { ca, ...own } });
    expect(await session.ended()).toBe('');
  }
  const session = await openSession({ port, tls: { ca, ...server } });
  expect(await session.reply()).toMatch(/^220 /);
  await session.say('EHLO me');
  expect(await session.say('MAIL FROM:<erp@example.com>')).toBe('530 5.7.0 Authentication required');
});
