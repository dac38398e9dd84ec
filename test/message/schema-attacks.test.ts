/** Attacks on the message schema, each by its name: injection, smuggling, paths and URLs, prototypes, huge inputs. */
import { describe, expect, test } from 'vitest';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { growsLinearly } from '../support/growth.ts';

const limits = defaultMessageLimits;
const minimal = { from: 'Sales <sales@example.com>', to: 'a@example.net', subject: 'Hi', text: 'Hello' };

/** The broken rules as `field: rule`. */
function refusals(input: unknown): string[] {
  const parsed = parseMessage(input, limits);
  return parsed.ok ? [] : parsed.issues.map(({ field, rule }) => `${field}: ${rule}`);
}

describe('attacks on messages', () => {
  const evil = '\r\nBcc: evil@x.y';
  test.each<[string, object]>([
    ['to', { to: `b@x.y${evil}` }],
    ['to, as SMTP commands', { to: 'b@x.y\r\nRCPT TO:<evil@x.y>' }],
    ['a recipient name', { cc: { name: `Ann${evil}`, address: 'b@x.y' } }],
    ['from', { from: `Ann${evil} <b@x.y>` }],
    ['replyTo', { replyTo: `b@x.y${evil}` }],
    ['envelope.from', { envelope: { from: `b@x.y>${evil}` } }],
    ['envelope.to', { envelope: { to: [`b@x.y>${evil}`] } }],
    ['subject', { subject: `Hi${evil}` }],
    ['subject with a bare CR', { subject: 'Hi\rBcc: evil@x.y' }],
    ['a header value', { headers: { 'X-A': `a${evil}` } }],
    ['a header name', { headers: { [`X-A: b${evil}`]: 'a' } }],
    ['inReplyTo', { inReplyTo: `<a@b>${evil}` }],
    ['references', { references: [`<a@b>${evil}`] }],
    ['a filename', { attachments: [{ content: '', filename: `a${evil}` }] }],
    ['a filename turned around by U+202E', { attachments: [{ content: '', filename: 'a\u202efdp.exe' }] }],
    ['a content type', { attachments: [{ content: '', contentType: `text/plain${evil}` }] }],
    ['a content type, quoted', { attachments: [{ content: '', contentType: `text/plain; name="a${evil}"` }] }],
    ['a Content-ID', { attachments: [{ content: '', cid: `a${evil}` }] }],
    ['the id', { id: `a${evil}` }],
  ])('what is hidden in %s is refused', (_, part) => {
    expect(refusals({ ...minimal, ...part })).not.toEqual([]);
  });

  test.each(['path', 'href', 'url', 'raw'])('an attachment by %s is refused, with what to do instead', (key) => {
    const parsed = parseMessage({ ...minimal, attachments: [{ filename: 'x', [key]: '/etc/passwd' }] }, limits);
    expect(parsed).toMatchObject({
      ok: false,
      issues: [
        {
          field: `attachments[0].${key}`,
          rule: 'attachment-by-path',
          message: expect.stringContaining('read the file yourself'),
        },
      ],
    });
    expect(refusals({ ...minimal, attachments: [{ content: 'x', [key]: 'file:///etc/passwd' }] })).toEqual([
      `attachments[0].${key}: attachment-by-path`,
    ]);
  });

  test('content objects that a MIME library would open are refused as bodies', () => {
    expect(refusals({ ...minimal, text: { path: '/etc/passwd' }, html: { href: 'http://127.0.0.1' } })).toEqual([
      'text: type',
      'html: type',
    ]);
  });

  test('__proto__ keys are refused and change nothing', () => {
    const input = `{"to":"a@b.c","__proto__":{"from":"evil@x.y"},"headers":{"__proto__":"x"},"metadata":{"__proto__":"x"},"envelope":{"__proto__":{"from":"evil@x.y"}}}`;
    expect(refusals(JSON.parse(input))).toEqual([
      '__proto__: unknown-key',
      'headers.__proto__: header-name',
      'envelope.__proto__: unknown-key',
      'metadata.__proto__: metadata',
    ]);
    expect(({} as Record<string, unknown>)['from']).toBeUndefined();
  });

  test('inherited fields are not read', () => {
    expect(refusals(Object.create({ to: 'evil@x.y' }))).toEqual(['to: no-recipient']);
  });

  test.each([
    ['two From fields', 'From: a@b.c\r\nfrom : evil@x.y\r\nTo: d@e.f\r\n\r\n'],
    ['a NUL in the header', 'From: a@b.c\r\nTo: d@e.f\r\nX: \0\r\n\r\n'],
    ['a bare CR in the header', 'From: a@b.c\r\nTo: d@e.f\r\nX: a\rBcc: evil@x.y\r\n\r\n'],
    ['a line that is no header field', 'From: a@b.c\r\nTo: d@e.f\r\nno field\r\nBcc: evil@x.y\r\n\r\n'],
    ['a continuation before any field', ' x\r\nFrom: a@b.c\r\nTo: d@e.f\r\n\r\n'],
    ['no header at all', '\r\nhello'],
  ])('a raw message with %s is refused, even if sender and recipients are given', (_, raw) => {
    expect(refusals({ raw, from: 'a@b.c', to: 'd@e.f' })).toEqual(['raw: raw-header']);
  });

  test('properties that throw when they are read are refused, not thrown', () => {
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('trap');
        },
      },
    );
    expect(refusals(trap)).toEqual([': type']);
    expect(
      refusals({
        to: {
          get address(): string {
            throw Object.create(null);
          },
        },
      }),
    ).toEqual([': type']);
  });

  test.each<[string, (size: number) => object]>([
    [
      'attachment of bad base64',
      (size) => ({ attachments: [{ content: `${'A'.repeat(size)}!`, encoding: 'base64' }] }),
    ],
    [
      'content type',
      (size) => ({ attachments: [{ content: '', contentType: `text/plain${'; a=b'.repeat(size / 5)}` }] }),
    ],
    ['message id', (size) => ({ inReplyTo: `<${'a@'.repeat(size / 2)}` })],
    ['references', (size) => ({ references: '<'.repeat(size) })],
    ['header', (size) => ({ headers: { 'X-A': 'a '.repeat(size / 2), [`X${'-'.repeat(size)}`]: 'a' } })],
    ['unknown key', (size) => ({ ['a'.repeat(size)]: 1 })],
    ['raw header', (size) => ({ raw: ': '.repeat(size / 2) })],
    ['raw To', (size) => ({ raw: `To: ${'a@b.c, '.repeat(size / 7)}\n\n` })],
  ])('2 MB of hostile %s are judged in no more than linear time', async (_, part) => {
    expect(refusals({ ...minimal, ...part(2e6) })).not.toEqual([]);
    expect(await growsLinearly((size) => void refusals({ ...minimal, ...part(size) }), 2e6)).toBe(true);
  });
});
