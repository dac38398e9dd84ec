/** What Graph counts of a mail against its limit of bytes, and the sizes that the documents give. */
import { expect, test } from 'vitest';
import type { Message } from '../../../src/message/message.ts';
import {
  attachmentBytes,
  countedBytes,
  jsonBytes,
  mimeBytes,
  rawMimeBytes,
  sessionBytes,
} from '../../../src/transport/graph/limits.ts';
import type { OutgoingMail } from '../../../src/transport/transport.ts';
import { textOf } from '../../support/source.ts';

const mail: OutgoingMail = {
  id: 'm',
  envelope: { from: 'a@example.com', to: ['b@example.net'] },
  bytes: Buffer.alloc(3_000),
};

const stored = (...sizes: number[]): Message => ({
  envelope: mail.envelope,
  priority: 'normal',
  to: [],
  cc: [],
  bcc: [],
  replyTo: [],
  references: [],
  headers: {},
  text: 'x'.repeat(300),
  attachments: sizes.map((size) => ({ ref: 'f'.repeat(64), size, disposition: 'attachment' })),
});

test('a mail in one request counts as the base64 that carries it', () => {
  expect(countedBytes(mail)).toBe(4_000);
});

test('of a mail in parts, only content in an upload session counts unencoded', () => {
  const unread = (): never => {
    throw new Error('nothing is read to count');
  };
  const structured = { message: stored(sessionBytes, 30_000), contentOf: unread, rangeOf: unread };
  expect(countedBytes({ ...mail, headerOnly: true, structured })).toBe(3_000 + 400 + sessionBytes + 40_000);
});

test('a finished mail that is taken apart counts as its octets', () => {
  const bytes = Buffer.alloc(rawMimeBytes + 1);
  expect(countedBytes({ ...mail, bytes })).toBe(rawMimeBytes + 1);
});

test('docs/graph.md and docs/configuration.md give the sizes of the code', () => {
  const mime = `${(mimeBytes / 1024).toLocaleString('en')} KB`;
  const [raw, json, attachment] = [
    `${rawMimeBytes / 1e6} MB`,
    `${jsonBytes / 1e6} MB`,
    `${attachmentBytes / 2 ** 20} MB`,
  ];
  const page = textOf('docs/graph.md');
  expect(page).toContain(`| up to ${mime}, or \`raw\` up to ${raw} |`);
  expect(page).toContain(
    `| \`raw\` above ${raw} that cannot be taken apart, an attachment above ${attachment}, text above ${json} |`,
  );
  expect(page).toContain(`messages above ${mime} cannot be sent`);
  expect(textOf('docs/configuration.md')).toContain(`messages of up to ${mime} that are not \`raw\``);
});
