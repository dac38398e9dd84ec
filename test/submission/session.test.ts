/** A session with a client: what is offered, what is taken, and the reply to each refusal. */
import { beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import {
  implicit,
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

const data = 'From: ERP <erp@example.com>\r\nTo: a@example.net\r\nSubject: Invoice\r\n\r\nSee attachment.\r\n';
const mail = { from: 'erp@example.com', to: ['a@example.net'], data };

test('250 after the final dot comes with the id under which the message is in Redis', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const said = await session.send(mail);
  expect(said).toMatch(/^250 2\.0\.0 queued as [0-9a-f-]{36}$/);
  const [queued] = await here.queued();
  expect(said).toBe(`250 2.0.0 queued as ${queued?.id}`);
  expect(queued).toMatchObject({
    from: { address: 'erp@example.com' },
    envelope: { from: 'erp@example.com', to: ['a@example.net'] },
    priority: 'normal',
  });
  expect(here.of('submitted')).toMatchObject([{ id: queued?.id, user: 'erp', address: '127.0.0.1', recipients: 1 }]);
});

test('a Received field stands in front of the message, which is otherwise as it came', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  await session.send(mail);
  const [queued] = await here.queued();
  const text = mailIn(queued!);
  expect(text.endsWith(data)).toBe(true);
  expect(text.slice(0, -data.length)).toMatch(
    new RegExp(
      '^Received: from client\\.example\\.com \\(\\[127\\.0\\.0\\.1\\]\\)\\r\\n\\t\\(using TLSv1\\.3 with cipher TLS_\\w+\\)\\r\\n' +
        `\\tby mail\\.example\\.com with ESMTPSA id ${queued?.id}\\r\\n\\tfor <a@example\\.net>;\\r\\n\\t\\w{3}, \\d\\d \\w{3} \\d{4} [\\d:]{8} \\+0000\\r\\n$`,
    ),
  );
});

test('with STARTTLS nothing but TLS is offered before it, and AUTH behind it', async () => {
  const here = await startSubmission(kit);
  const session = await openSession({ port: here.ports[0]! });
  expect(await session.reply()).toBe('220 mail.example.com ESMTP');
  const offered = ['250-mail.example.com', '250-PIPELINING', '250-8BITMIME', '250-SMTPUTF8', '250-ENHANCEDSTATUSCODES'];
  expect(await session.say('EHLO me')).toBe([...offered, '250-STARTTLS', '250 SIZE 26214400'].join('\n'));
  expect(await session.say('MAIL FROM:<erp@example.com>')).toBe('530 5.7.0 Must issue a STARTTLS command first');
  expect(await session.say('AUTH PLAIN AGVycAB4')).toBe('538 5.7.11 Must issue a STARTTLS command first');
  expect(await session.say('STARTTLS')).toMatch(/^220 /);
  await session.startTls({ ca: kit.certificates.ca });
  expect(await session.say('EHLO me')).toBe([...offered, '250-AUTH PLAIN LOGIN', '250 SIZE 26214400'].join('\n'));
  expect(await session.say('MAIL FROM:<erp@example.com>')).toBe('530 5.7.0 Authentication required');
  for (const line of ['BDAT 5 LAST', 'VRFY erp', 'XCLIENT ADDR=1.2.3.4', 'WIZ x', 'TURN']) {
    expect(await session.say(line)).toMatch(/^(?:500 5\.5\.2|252 2\.1\.5) /);
  }
});

test('with implicit TLS, and AUTH LOGIN', async () => {
  const here = await startSubmission(kit, { listeners: [implicit] });
  const session = await here.open();
  expect(await session.say('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
  expect(await session.say(Buffer.from('erp').toString('base64'))).toBe('334 UGFzc3dvcmQ6');
  expect(await session.say(Buffer.from(password).toString('base64'))).toBe('235 2.7.0 Authentication successful');
  expect(await session.send(mail)).toMatch(/^250 2\.0\.0 queued as /);
});

test('a listener without TLS serves clients of its networks without a login, and no others', async () => {
  const here = await startSubmission(kit, {
    listeners: [open.replace('127.0.0.0/8', '127.0.0.2')],
  });
  const inside = await here.open({ localAddress: '127.0.0.2' });
  expect(await inside.say('AUTH PLAIN AGVycAB4')).toMatch(/^500 5\.5\.2 /);
  expect(await inside.send({ ...mail, from: 'any@example.com', data: data.replace('erp@', 'any@') })).toMatch(/^250 /);
  expect(await inside.send({ ...mail, from: 'any@example.org' })).toMatch(/^553 5\.7\.1 /);
  const outside = await openSession({ port: here.ports[0]! });
  expect(await outside.reply()).toBe('554 5.7.1 Your address may not send here');
  expect(await outside.ended()).toBe('');
});

test('by default nobody may relay: without listeners, users and networks there is nothing to connect to', async () => {
  const here = await startSubmission(kit, { users: [], listeners: [starttls] });
  const session = await here.open({ tls: true });
  expect(await session.login('erp', password)).toBe('535 5.7.8 Authentication credentials invalid');
  expect(await session.send(mail)).toBe('530 5.7.0 Authentication required');
  expect(await here.queued()).toEqual([]);
});

describe('refuses', () => {
  const cases: readonly (readonly [what: string, lines: readonly string[], reply: RegExp])[] = [
    ['an envelope sender that is not the user’s', ['MAIL FROM:<boss@example.com>'], /^553 5\.7\.1 You may not/],
    ['SIZE above message.maxSize', ['MAIL FROM:<erp@example.com> SIZE=26214401'], /^552 5\.3\.4 /],
    ['SIZE that is no number', ['MAIL FROM:<erp@example.com> SIZE=-1'], /^501 5\.5\.4 /],
    ['BODY=BINARYMIME', ['MAIL FROM:<erp@example.com> BODY=BINARYMIME'], /^501 5\.5\.4 /],
    ['a sender without a domain', ['MAIL FROM:<erp>'], /^501 5\.1\.7 /],
    ['a sender at an address literal', ['MAIL FROM:<erp@[127.0.0.1]>'], /^553 5\.1\.7 /],
    ['a second MAIL', ['MAIL FROM:<erp@example.com>', 'MAIL FROM:<erp@example.com>'], /^503 5\.5\.1 /],
    ['RCPT before MAIL', ['RCPT TO:<a@example.net>'], /^503 5\.5\.1 /],
    ['DATA before RCPT', ['MAIL FROM:<erp@example.com>', 'DATA'], /^503 5\.5\.1 /],
    ['a recipient without a domain', ['MAIL FROM:<erp@example.com>', 'RCPT TO:<postmaster>'], /^553 5\.1\.3 /],
    [
      'a non-ASCII recipient without SMTPUTF8',
      ['MAIL FROM:<erp@example.com>', 'RCPT TO:<jö@example.net>'],
      /^553 5\.6\.7 /,
    ],
    ['an empty recipient', ['MAIL FROM:<erp@example.com>', 'RCPT TO:<>'], /^501 5\.1\.3 /],
    ['AUTH after AUTH', ['AUTH PLAIN AGVycAB4'], /^503 5\.5\.1 /],
    ['an unknown command', ['EXPN list'], /^500 5\.5\.2 /],
  ];

  test.each(cases)('%s', async (_what, lines, reply) => {
    const here = await startSubmission(kit);
    const session = await here.open({ user: 'erp' });
    let last = '';
    for (const line of lines) last = await session.say(line);
    expect(last).toMatch(reply);
    expect(await session.say('NOOP')).toBe('250 2.0.0 OK');
  });
});

test('one recipient more than message.maxRecipients is deferred, and the others get the message', async () => {
  const here = await startSubmission(kit, { rest: ['message: { maxRecipients: 2 }'] });
  const session = await here.open({ user: 'erp' });
  await session.say('MAIL FROM:<erp@example.com>');
  const said = [];
  for (const name of ['a', 'b', 'A', 'c']) said.push(await session.say(`RCPT TO:<${name}@example.net>`));
  expect(said.map((each) => each.slice(0, 9))).toEqual(['250 2.1.5', '250 2.1.5', '250 2.1.5', '452 4.5.3']);
});

test('an internationalised sender and recipient with SMTPUTF8: the domain as A-label, the header as it is', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: ["*@bücher.example"]'] });
  const session = await here.open({ user: 'erp' });
  const text = 'From: jö@bücher.example\r\nSubject: Grüße\r\n\r\nx\r\n';
  const said = await session.send({
    from: 'jö@bücher.example',
    to: ['ü@example.net'],
    data: text,
    parameters: ' SMTPUTF8',
  });
  expect(said).toMatch(/^250 /);
  const [queued] = await here.queued();
  expect(queued?.envelope).toEqual({ from: 'jö@xn--bcher-kva.example', to: ['ü@example.net'] });
  expect(Buffer.from(mailIn(queued!), 'latin1').toString()).toContain('UTF8SMTPSA');
});

test('pipelined commands are answered one by one, in order', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  session.write('MAIL FROM:<erp@example.com>\r\nRCPT TO:<a@example.net>\r\nRCPT TO:<bad>\r\nDATA\r\n');
  const replies = [];
  for (let i = 0; i < 4; i += 1) replies.push((await session.reply()).slice(0, 9));
  expect(replies).toEqual(['250 2.1.0', '250 2.1.5', '501 5.1.3', '354 End d']);
  session.write(`${data}.\r\nRSET\r\nMAIL FROM:<x@billing.example.com>\r\n`);
  expect(await session.reply()).toMatch(/^250 2\.0\.0 queued as /);
  expect(await session.reply()).toMatch(/^250 2\.0\.0 /);
  expect(await session.reply()).toMatch(/^250 2\.1\.0 /);
});

test('a message larger than message.maxSize gets 552 when it is there, and the session goes on', async () => {
  const here = await startSubmission(kit, { rest: ['message: { maxSize: 64KiB }'] });
  const session = await here.open({ user: 'erp' });
  expect(await session.send({ ...mail, data: `${data}${'x'.repeat(998)}\r\n`.repeat(70) })).toMatch(/^552 5\.3\.4 /);
  expect(await session.send(mail)).toMatch(/^250 /);
  expect(await here.queued()).toHaveLength(1);
  expect(here.submission.state().bytesHeld).toBe(0);
});

test('the null reverse-path is taken where the From is the user’s: a bounce of the user', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  expect(await session.send({ ...mail, from: '' })).toMatch(/^250 /);
  expect((await here.queued())[0]).toMatchObject({ from: { address: 'erp@example.com' }, envelope: { from: '' } });
  expect(await session.send({ ...mail, from: '', data: 'Subject: x\r\n\r\nx\r\n' })).toMatch(/^554 5\.6\.0 /);
});

test('a mail without From gets that of the envelope, and one without any header gets a header', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  expect(await session.send({ ...mail, data: 'Subject: x\r\n\r\nx\r\n' })).toMatch(/^250 /);
  expect(await session.send({ ...mail, data: '\r\nHello\r\n' })).toMatch(/^250 /);
  const mails = (await here.queued()).map((each) => mailIn(each));
  expect(mails.map((each) => each.slice(each.indexOf('From:'))).toSorted()).toEqual(
    ['From: erp@example.com\r\nSubject: x\r\n\r\nx\r\n', 'From: erp@example.com\r\n\r\nHello\r\n'].toSorted(),
  );
});

test('Bcc, Resent-Bcc and X-Postlane- fields never leave the house, whoever sends them', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const added =
    'Bcc: secret@example.net,\r\n  more@example.net\r\nX-Postlane-Id: mine\r\nResent-Bcc: s@example.net\r\nX-POSTLANE-Foo: x\r\n';
  expect(await session.send({ ...mail, data: data.replace('Subject:', `${added}Subject:`) })).toMatch(/^250 /);
  const [queued] = await here.queued();
  expect(mailIn(queued!).endsWith(data.slice(data.indexOf('Subject:')))).toBe(true);
  expect(mailIn(queued!)).not.toMatch(/bcc|secret|more@|postlane-/i);
  expect(queued?.id).not.toBe('mine');
});

test('the options of a user who may have them', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: [erp@example.com], options: true'] });
  const session = await here.open({ user: 'erp' });
  const fields = [
    'X-Postlane-Id: invoice-7',
    'X-Postlane-Priority: high',
    'X-Postlane-Send-At: 2099-01-01T00:00:00Z',
    'X-Postlane-Expires-At: 2099-01-02T00:00:00Z',
    'X-Postlane-Metadata-Order: =?utf-8?q?K=C3=B6ln?=',
  ];
  expect(await session.send({ ...mail, data: `${fields.join('\r\n')}\r\n${data}` })).toBe(
    '250 2.0.0 queued as invoice-7',
  );
  expect((await here.queued())[0]).toMatchObject({
    id: 'invoice-7',
    priority: 'high',
    sendAt: '2099-01-01T00:00:00.000Z',
    expiresAt: '2099-01-02T00:00:00.000Z',
    metadata: { order: 'Köln' },
  });
  expect(await session.send({ ...mail, data: `X-Postlane-Priority: urgent\r\n${data}` })).toMatch(
    /^554 5\.6\.0 .*priority/,
  );
  expect(await session.send({ ...mail, data: `X-Postlane-Prio: high\r\n${data}` })).toMatch(/^554 5\.6\.0 .*no option/);
  const twice = 'X-Postlane-Id: a\r\nX-Postlane-Id: b\r\n';
  expect(await session.send({ ...mail, data: `${twice}${data}` })).toMatch(/^554 5\.6\.0 .*twice/);
});

test('a draining process answers 421, finishes what is under way, and says so', async () => {
  const here = await startSubmission(kit);
  const idle = await here.open({ user: 'erp' });
  const busy = await here.open({ user: 'erp' });
  for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await busy.say(line);
  busy.write(data);
  const drained = here.submission.drain(20_000);
  expect(await idle.ended()).toBe('421 4.3.2 Going down; try again later\r\n');
  expect(here.submission.state().ready).toBe(false);
  expect(await busy.say('.')).toMatch(/^250 2\.0\.0 queued as /);
  expect(await busy.reply()).toMatch(/^421 4\.3\.2 /);
  expect(await drained).toBe(true);
  expect(here.of('smtp-stopped')).toEqual([{ event: 'smtp-stopped', drained: true }]);
});

test('another configuration is in force for the next command: users, their senders, and limits', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  const { submission } = here.config;
  here.submission.apply({
    ...here.config,
    submission: { ...submission, users: submission.users.map((user) => ({ ...user, from: ['other@example.com'] })) },
  });
  expect(await session.say('MAIL FROM:<erp@example.com>')).toMatch(/^553 5\.7\.1 /);
  expect(await session.say('MAIL FROM:<other@example.com>')).toMatch(/^250 /);
  await session.say('RSET');
  here.submission.apply({ ...here.config, submission: { ...submission, users: [] } });
  expect(await session.say('MAIL FROM:<erp@example.com>')).toBe('530 5.7.0 Authentication required');
});

test('a user over the rate is deferred', async () => {
  const here = await startSubmission(kit, { users: ['user: erp, from: [erp@example.com], ratePerMinute: 2'] });
  const session = await here.open({ user: 'erp' });
  expect((await session.send(mail)).slice(0, 3)).toBe('250');
  expect((await session.send(mail)).slice(0, 3)).toBe('250');
  expect(await session.send(mail)).toMatch(/^450 4\.7\.1 /);
});

test('a user over the quota of the day is deferred; what is no new message does not count', async () => {
  const here = await startSubmission(kit, {
    users: ['user: erp, from: [erp@example.com], messagesPerDay: 3, recipientsPerDay: 4'],
  });
  const session = await here.open({ user: 'erp' });
  const to = (...names: string[]) => names.map((name) => `${name}@example.net`);
  const withId = mail.data.replace('Subject', 'Message-ID: <1@example.com>\r\nSubject');
  expect(await session.send({ ...mail, to: to('a', 'b'), data: withId })).toMatch(/^250 /);
  expect(await session.send({ ...mail, to: to('a', 'b'), data: withId })).toMatch(/^250 /);
  expect(here.of('submitted').map(({ duplicate }) => duplicate)).toEqual([false, true]);
  expect(await session.send({ ...mail, to: to('a', 'b', 'c') })).toMatch(/^452 4\.7\.1 .*4 recipients a day/);
  expect(await session.send({ ...mail, to: to('a', 'b', 'c', 'd', 'e') })).toMatch(/^554 5\.7\.1 .*4 recipients a day/);
  expect(await session.send({ ...mail, to: to('a') })).toMatch(/^250 /);
  expect(await session.send({ ...mail, to: to('c') })).toMatch(/^250 /);
  expect(await session.send({ ...mail, to: to('d') })).toMatch(/^452 4\.7\.1 .*3 messages a day/);
  expect(await here.queued()).toHaveLength(3);
});

test('a user whose quota is used up still gets 250 for what is in Redis already', async () => {
  const here = await startSubmission(kit, {
    users: ['user: erp, from: [erp@example.com], options: true, messagesPerDay: 2'],
  });
  const session = await here.open({ user: 'erp' });
  const known = ['Message-ID: <1@example.com>', 'X-Postlane-Id: order-1'].map((field) => ({
    ...mail,
    data: `${field}\r\n${data}`,
  }));
  for (const each of [...known, ...known]) expect(await session.send(each)).toMatch(/^250 /);
  expect(here.of('submitted').map(({ duplicate }) => duplicate)).toEqual([false, false, true, true]);
  expect(await session.send(mail)).toMatch(/^452 4\.7\.1 /);
});

test('what users submitted and were refused can be read', async () => {
  const here = await startSubmission(kit);
  const session = await here.open({ user: 'erp' });
  await session.send(mail);
  await session.say('MAIL FROM:<boss@example.com>');
  session.end();
  await here.submission.drain(10_000);
  await until(async () => (await here.store.report()).length > 0, { what: 'the report' });
  expect(await here.store.report()).toMatchObject([
    {
      user: 'erp',
      counts: { accepted: 1, 'envelope-sender': 1 },
      last: { address: '127.0.0.1', refused: { reply: '553' } },
    },
  ]);
});
