/** Invitations and further forms of a body: what is refused, and where they are in the mail, as a parser that is not ours reads it. */
import { simpleParser, type ParsedMail } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { maxAlternativeBytes } from '../../src/message/bounds.ts';
import { estimateBytes } from '../../src/message/estimate.ts';
import { defaultMessageLimits, type Content, type Message } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { meeting, withCrlf } from '../support/calendar.ts';
import { composedMail } from '../support/compose.ts';
import { growsLinearly } from '../support/growth.ts';

const minimal = { from: 'Sales <sales@example.com>', to: 'a@example.net', subject: 'Hi' };
const html = '<p>Hello <img src="cid:logo"></p>';
const logo = { filename: 'logo.png', content: 'iVBORw0KGgo=', encoding: 'base64', cid: 'logo' };

function normal(input: object): Message {
  const parsed = parseMessage({ ...minimal, ...input }, defaultMessageLimits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.message;
}

function refusals(input: object): string[] {
  const parsed = parseMessage({ ...minimal, ...input }, defaultMessageLimits);
  return parsed.ok ? [] : parsed.issues.map(({ field, rule, message }) => `${field}: ${rule}: ${message}`);
}

async function mailOf(input: object): Promise<Buffer> {
  const contentOf = (content: Content): Buffer =>
    'ref' in content ? Buffer.alloc(0) : Buffer.from(content.content, content.encoding);
  return composedMail(normal(input), { messageId: '<m@example.com>', date: new Date(0), boundarySeed: 'm', contentOf });
}

/** The parts that are no text or HTML, by their number in the tree, as mailparser counts them. */
function partsOf({ attachments }: ParsedMail): Record<string, string> {
  return Object.fromEntries(
    attachments.map((each) => {
      const { partId } = each as unknown as { partId: string };
      const type = each.headers.get('content-type') as unknown as { value: string; params: Record<string, string> };
      const { boundary: _boundary, ...params } = type.params;
      return [partId, [type.value, ...Object.entries(params).map(([key, value]) => `${key}=${value}`)].join('; ')];
    }),
  );
}

describe('an invitation', () => {
  test('has a normal form with CRLF line ends and its method, which is a valid input of the same meaning', () => {
    const content = withCrlf(meeting());
    const expected = { method: 'REQUEST', filename: 'invite.ics', content };
    const forms = [
      { content: meeting() },
      { content: Buffer.from(meeting()), method: 'request' },
      { content: Buffer.from(content).toString('base64'), encoding: 'base64', filename: '' },
      { content: meeting().trimEnd(), method: 'REQUEST' },
      expected,
    ];
    for (const calendarEvent of forms) expect(normal({ calendarEvent }).calendarEvent).toEqual(expected);
    expect(normal({})).not.toHaveProperty('calendarEvent');
  });

  test.each<[string, object, string]>([
    ['text that is no calendar', { content: 'Hello' }, 'content: calendar: does not begin with BEGIN:VCALENDAR'],
    ['a text before it', { content: `\n${meeting()}` }, 'content: calendar: does not begin'],
    ['no end', { content: meeting().replace('END:VCALENDAR\n', '') }, 'content: calendar: has no END:VCALENDAR'],
    ['no METHOD', { content: meeting(null) }, 'content: calendar: has no METHOD property'],
    ['no METHOD but its own', { content: meeting(null), method: 'REQUEST' }, 'content: calendar: has no METHOD'],
    [
      'a METHOD that no program knows',
      { content: meeting('INVITE') },
      'content: calendar: has a METHOD that is none of',
    ],
    [
      'another method than the content has',
      { content: meeting('CANCEL'), method: 'REQUEST' },
      'method: calendar: is not',
    ],
    ['a second METHOD that another program would read', { content: meeting('REQUEST\nMETHOD:CANCEL') }, 'two METHOD'],
    ['a second METHOD hidden in a fold', { content: meeting('REQUEST\nMET\n HOD:CANCEL') }, 'two METHOD'],
    ['a second calendar behind it', { content: meeting() + meeting('CANCEL') }, 'lines behind END:VCALENDAR'],
    ['a METHOD within the event alone', { content: meeting(null, ['METHOD:REQUEST']) }, 'has no METHOD property'],
    [
      'components that end crosswise',
      { content: meeting('REQUEST', ['BEGIN:VALARM']) },
      'ends a component that is not',
    ],
    ['components without end', { content: meeting('REQUEST', Array(20).fill('BEGIN:X')) }, 'more than 10 components'],
    ['a NUL', { content: meeting('REQUEST', ['X-A:\0']) }, 'content: calendar: has control characters'],
    ['bytes that are no text', { content: Buffer.from([0x42, 0xff, 0xfe]) }, 'content: calendar: is not text in UTF-8'],
    ['broken base64', { content: 'QkVH!', encoding: 'base64' }, 'content: base64: is not valid base64'],
    ['more bytes than its bound', { content: meeting('REQUEST', ['X-A:'.padEnd(maxAlternativeBytes)]) }, 'too-long'],
    [
      'a line break in its file name',
      { content: meeting(), filename: 'a\r\nBcc: e@x.y' },
      'filename: control-character',
    ],
    ['a path in place of its content', { path: '/etc/passwd' }, 'path: attachment-by-path'],
    ['a misspelt key', { content: meeting(), methode: 'REQUEST' }, 'did you mean "method"?'],
  ])('is refused with %s', (_, calendarEvent, reason) => {
    const found = refusals({ calendarEvent });
    expect(found.join('\n')).toContain(reason);
    expect(found.every((each) => each.startsWith('calendarEvent.'))).toBe(true);
  });

  test.each([
    ['text', { text: 'Hello' }, '1.2', '2'],
    ['text and HTML', { text: 'Hello', html: '<p>Hello</p>' }, '1.3', '2'],
    [
      'HTML with a picture, and a file',
      { text: 'Hello', html, attachments: [logo, { filename: 'a.txt', content: 'x' }] },
      '1.3',
      '3',
    ],
    ['nothing else', {}, '1', '2'],
  ])('beside %s is the last alternative, and a file at the end', async (_, others, place, file) => {
    const mail = await mailOf({ ...others, calendarEvent: { content: meeting(), filename: 'Räume.ics' } });
    const parsed = await simpleParser(mail);
    expect(partsOf(parsed)).toMatchObject({
      [place]: 'text/calendar; charset=utf-8; method=REQUEST',
      [file]: expect.stringMatching(/^application\/ics/),
    });
    const found = (type: string) =>
      parsed.attachments
        .filter(({ contentType }) => contentType === type)
        .map(({ content, filename, contentDisposition }) => [content.toString(), filename, contentDisposition]);
    expect(found('text/calendar').map((each) => each.slice(0, 2))).toEqual([[withCrlf(meeting()), undefined]]);
    expect(found('application/ics')).toEqual([[withCrlf(meeting()), 'Räume.ics', 'attachment']]);
    expect(mail.every((byte) => byte < 0x80)).toBe(true);
    expect(
      mail
        .toString()
        .split('\r\n')
        .every((line) => line.length <= 998 && !/[\r\n]/.test(line)),
    ).toBe(true);
  });

  test('a guest who writes the boundary of the mail into the invitation adds no part', async () => {
    const boundaryIn = (mail: Buffer): string => /boundary="([^"]+)"/.exec(mail.toString())?.[1] ?? '';
    const guess = boundaryIn(await mailOf({ text: 'Hello', calendarEvent: { content: meeting() } }));
    const lines = ['X-A:1', `--${guess}`, 'Content-Type: text/html', '', '<b>evil</b>', `--${guess}--`];
    const content = meeting('REQUEST', lines);
    const parsed = await simpleParser(await mailOf({ text: 'Hello', calendarEvent: { content } }));
    expect(parsed.html).toBe(false);
    expect(parsed.attachments).toHaveLength(2);
  });

  test('takes about four times the work at four times the length', async () => {
    const read = (count: number): Message => {
      const lines = Array.from(
        { length: count },
        (_, at) => `X-A:${at}
 folded`,
      );
      return normal({ calendarEvent: { content: meeting('REQUEST', lines) } });
    };
    expect(await growsLinearly(read, 12_000)).toBe(true);
  });
});

describe('an alternative', () => {
  const amp = { contentType: 'text/x-amp-html', content: '<!doctype html><html ⚡4email></html>' };

  test('has a normal form that names its charset, and none of them is none', () => {
    const expected = { contentType: 'text/x-amp-html; charset=utf-8', content: amp.content, encoding: 'utf8' };
    for (const given of [amp, expected, { ...amp, content: Buffer.from(amp.content) }]) {
      expect(normal({ alternatives: [given] }).alternatives).toEqual([expected]);
    }
    expect(normal({ alternatives: [] })).toEqual(normal({}));
  });

  test.each<[string, object, string]>([
    [
      'a charset that its text is not in',
      { ...amp, contentType: 'text/x-a; charset=latin1' },
      'contentType: content-type',
    ],
    ['what `html` is for', { ...amp, contentType: 'text/html' }, 'contentType: content-type'],
    ['what `text` is for', { ...amp, contentType: 'TEXT/Plain; format=flowed' }, 'contentType: content-type'],
    ['a container', { ...amp, contentType: 'multipart/mixed; boundary=x' }, 'contentType: content-type'],
    ['a mail', { ...amp, contentType: 'message/rfc822' }, 'contentType: content-type'],
    [
      'a header hidden in the type',
      { ...amp, contentType: 'text/x-a\r\nBcc: evil@x.y' },
      'contentType: control-character',
    ],
    ['no type', { content: 'x' }, 'contentType: type'],
    ['a reference to content that may be of others', { contentType: 'image/x', ref: 'a'.repeat(64), size: 1 }, 'ref'],
    [
      'a calendar whose method it does not name',
      { contentType: 'text/calendar', content: meeting() },
      'contentType: calendar',
    ],
    [
      'a calendar of another method',
      { contentType: 'text/calendar; method=CANCEL', content: meeting() },
      'method=REQUEST',
    ],
    ['a broken calendar', { contentType: 'text/calendar; method=REQUEST', content: 'x' }, 'content: calendar'],
    [
      'too many bytes',
      { contentType: 'image/png', content: Buffer.alloc(maxAlternativeBytes + 1) },
      'content: too-long',
    ],
    [
      'a URL in place of its content',
      { contentType: 'text/x-a', href: 'http://169.254.169.254/' },
      'attachment-by-path',
    ],
  ])('is refused with %s', (_, hostile, reason) => {
    const found = refusals({ alternatives: [hostile] });
    expect(found.join('\n')).toContain(reason);
    expect(found.every((each) => each.startsWith('alternatives[0]'))).toBe(true);
  });

  test('more than ten are refused, and all of them beside a finished message', () => {
    expect(refusals({ alternatives: Array.from({ length: 11 }, () => amp) })).toEqual([
      expect.stringMatching(/^alternatives: too-many/),
    ]);
    const raw = 'From: a@b.example\r\nTo: a@b.example\r\n\r\nx';
    const beside = { alternatives: [amp], calendarEvent: { content: meeting() }, sender: 'boss@example.com' };
    const parsed = parseMessage({ raw, ...beside }, defaultMessageLimits);
    expect(parsed.ok ? [] : parsed.issues.map(({ field, rule }) => `${field}: ${rule}`).sort()).toEqual([
      'alternatives: raw-excludes',
      'calendarEvent: raw-excludes',
      'sender: raw-excludes',
    ]);
  });

  test('stands behind text, HTML and invitation, text as text and bytes as base64', async () => {
    const bytes = Buffer.from(Array.from({ length: 300 }, (_each, at) => at % 256));
    const alternatives = [amp, { contentType: 'application/x-card; v=2', content: bytes }];
    const mail = await mailOf({
      text: 'Hello',
      html: '<p>Hi</p>',
      alternatives,
      calendarEvent: { content: meeting() },
    });
    const parsed = await simpleParser(mail);
    expect([parsed.text, parsed.html]).toEqual(['Hello', '<p>Hi</p>']);
    expect(partsOf(parsed)).toMatchObject({
      '1.3': 'text/calendar; charset=utf-8; method=REQUEST',
      '1.4': 'text/x-amp-html; charset=utf-8',
      '1.5': 'application/x-card; v=2',
    });
    const [, second, third] = parsed.attachments;
    expect(second?.content.toString().trimEnd()).toBe(amp.content);
    expect(third?.content.equals(bytes)).toBe(true);
  });

  test('of a type that is no text arrives as it was given, also where its content is ASCII', async () => {
    const content = '{"@type":"EmailMessage"}';
    const mail = await mailOf({ text: 'x', alternatives: [{ contentType: 'application/ld+json', content }] });
    const parsed = await simpleParser(mail);
    expect(parsed.attachments.map((part) => part.content.toString())).toEqual([content]);
  });
});

test('what an invitation and alternatives take is estimated before they are composed', async () => {
  const content = meeting('REQUEST', ['DESCRIPTION:'.padEnd(50_000, 'ü')]);
  const input = {
    text: 'x',
    calendarEvent: { content },
    alternatives: [{ contentType: 'image/png', content: Buffer.alloc(90_000) }],
  };
  const size = (await mailOf(input)).length;
  const estimated = estimateBytes(normal(input), 1);
  expect(estimated).toBeGreaterThan(size * 0.9);
  expect(estimated).toBeLessThan(size * 1.3);
  const parsed = parseMessage({ ...minimal, ...input }, { ...defaultMessageLimits, maxBytes: 200_000 });
  expect(parsed).toMatchObject({ ok: false, issues: [{ rule: 'too-large' }] });
});

describe('sender', () => {
  test('is the field Sender of a mail, in each shape of mails, and left out where it is the author', async () => {
    const sender = 'Zoë Meier <zoe@example.com>';
    const shapes = [{ text: 'x' }, { text: 'x', html: '<p>x</p>' }, { text: 'ü' }, { attachments: [{ content: 'x' }] }];
    for (const shape of shapes) {
      const { headers } = await simpleParser(await mailOf({ ...shape, sender }));
      expect(headers.get('sender')).toMatchObject({ value: [{ name: 'Zoë Meier', address: 'zoe@example.com' }] });
      expect(headers.get('from')).toMatchObject({ value: [{ address: 'sales@example.com' }] });
      const same = await mailOf({ ...shape, sender: 'Other name <Sales@EXAMPLE.com>' });
      expect((await simpleParser(same)).headers.has('sender')).toBe(false);
    }
  });

  test('chooses neither the reverse-path nor the recipients', () => {
    const { envelope, from } = normal({ sender: 'zoe@example.com' });
    expect([envelope, from?.address]).toEqual([
      { from: 'sales@example.com', to: ['a@example.net'] },
      'sales@example.com',
    ]);
  });

  test.each(['a@b.example, c@d.example', 'a@b.example\r\nBcc: evil@x.y', 'group: a@b.example;', 'nobody'])(
    'is refused as %s',
    (sender) => expect(refusals({ sender })).toEqual([expect.stringMatching(/^sender: address: /)]),
  );
});
