/** The schema of what a message carries: attachments, and a finished message (`raw`). */
import { z } from 'zod';
import { maxFileNameChars } from './bounds.ts';
import type { Parsed } from './address.ts';
import { normaliseContent } from './content.ts';
import { check, line, read, text } from './schema-kit.ts';

// RFC 2045 section 5.1; each alternative begins with another character, so matching is linear.
const mediaType =
  /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+(?:[ \t]*;[ \t]*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"(?:[^"\\\p{Cc}\u0080-\u{10FFFF}]|\\[ -~])*"))*[ \t]*;?$/u;
export const contentType = check(
  line,
  'content-type',
  'is not a content type such as "application/pdf"',
  (value) => value.length <= maxFileNameChars && mediaType.test(value) && !/^multipart\//i.test(value),
);
// The bidirectional overrides make "exe.pdf" of "fdp.exe".
export const filename = check(
  text,
  'control-character',
  `has control characters, or is longer than ${maxFileNameChars}`,
  (value) => value.length <= maxFileNameChars && !/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.test(value),
);
const cid = read(text, 'cid', (value): Parsed<string> => {
  const bare = /^<(.*)>$/.exec(value)?.[1] ?? value;
  return /^[!-;=?-~]{1,200}$/.test(bare)
    ? { ok: true, value: bare }
    : { ok: false, problem: 'is not a Content-ID: 1 to 200 printable ASCII characters, no spaces' };
});

const bytes = z.instanceof(Uint8Array, { error: 'must be text or bytes (Uint8Array)' });
export const inline = {
  content: z.union([z.string(), bytes], { error: 'must be text or bytes (Uint8Array)' }).meta({
    description: 'The content: text, or base64 beside `encoding: "base64"`. In TypeScript also a Uint8Array.',
  }),
  encoding: z.enum(['utf8', 'base64']).optional().meta({ description: 'What `content` is; utf8 by default.' }),
};
const stored = {
  ref: check(z.string(), 'content-ref', 'must be 64 lower-case hexadecimal digits', (value) =>
    /^s?[0-9a-f]{64}$/.test(value),
  ).meta({
    description:
      'SHA-256 (hex) under which the content is stored; with `encryption`, a keyed one that begins with `s`.',
    pattern: '^s?[0-9a-f]{64}$',
  }),
  size: check(
    z.number(),
    'content-ref',
    'must be a number of bytes',
    (value) => Number.isSafeInteger(value) && value >= 0,
  ).meta({ description: 'Its size in bytes.' }),
};
const attachmentFields = {
  filename: filename.optional().meta({ description: 'The name that the recipient sees.', examples: ['invoice.pdf'] }),
  contentType: contentType
    .optional()
    .meta({ description: 'Media type; guessed from the filename if absent.', examples: ['application/pdf'] }),
  cid: cid.optional().meta({ description: 'Content-ID, for `cid:` links of the HTML body.', examples: ['logo'] }),
  disposition: z
    .enum(['attachment', 'inline'])
    .optional()
    .meta({ description: 'inline by default if there is a `cid`, else attachment.' }),
};

const inlineAttachment = z
  .strictObject({ ...attachmentFields, ...inline })
  .transform(({ content, encoding, ...rest }, context) => {
    const parsed = normaliseContent({ content, encoding });
    if (parsed.ok) return { ...rest, ...parsed.value };
    context.addIssue({ code: 'custom', message: parsed.problem, path: ['content'], params: { rule: 'base64' } });
    return z.NEVER;
  });
export const attachment = z.union([inlineAttachment, z.strictObject({ ...attachmentFields, ...stored })], {
  error: 'must be an attachment: { filename, contentType, content }',
});

const rawForm = z.strictObject(inline);
export const raw = z.union(
  [
    read(z.union([z.string(), bytes]), 'base64', (content) => normaliseContent({ content })),
    read(rawForm, 'base64', normaliseContent),
    z.strictObject(stored),
  ],
  { error: 'must be a finished message: text, bytes (Uint8Array), { content, encoding } or { ref, size }' },
);

/** Keys that contents may have, for suggestions. */
export const contentKeys = {
  attachments: [...Object.keys(attachmentFields), 'content', 'encoding', 'ref', 'size'],
  raw: ['content', 'encoding', 'ref', 'size'],
  alternatives: ['contentType', 'content', 'encoding'],
  calendarEvent: ['method', 'filename', 'content', 'encoding'],
};
