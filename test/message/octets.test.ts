/** Octets that are no text: what a finished mail carries arrives octet for octet, whatever the server offers, or is refused. */
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { simpleParser, type Attachment } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { composeMail } from '../../src/message/compose.ts';
import { inlineBytes } from '../../src/message/content.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { fitForTransfer } from '../../src/message/transfer.ts';

const servers = {
  'a server without 8BITMIME': { eightBitMime: false, smtpUtf8: false },
  'a server with 8BITMIME': { eightBitMime: true, smtpUtf8: false },
};
const identity = ['Message-ID: <raw@b.example>', 'Date: Thu, 01 Jan 1970 00:00:00 +0000'];
const allOctets = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

/** The mail on the wire, or the reason why there is none. */
async function onWire(
  input: OutboundMessage,
  extensions = servers['a server with 8BITMIME'],
): Promise<Buffer | string> {
  const parsed = parseMessage({ from: 'a@b.example', to: 'c@d.example', ...input }, defaultMessageLimits);
  if (!parsed.ok) return JSON.stringify(parsed.issues);
  const composed = await composeMail(parsed.message, {
    messageId: '<m@b.example>',
    date: new Date(0),
    boundarySeed: 'm',
    contentOf: (content) => inlineBytes(content) ?? Buffer.alloc(0),
  });
  return composed.ok ? (await fitForTransfer(composed.value, extensions)).bytes : composed.problem;
}

async function sent(input: OutboundMessage, extensions = servers['a server with 8BITMIME']): Promise<Buffer> {
  const bytes = await onWire(input, extensions);
  if (typeof bytes === 'string') throw new Error(bytes);
  return bytes;
}

/** What no mail over DATA may have; labels that promise something else included. */
function faultsOf(bytes: Buffer, isEightBit: boolean): string[] {
  const text = bytes.toString('latin1');
  return [
    ['NUL', text.includes('\0')],
    ['bare CR', /\r(?!\n)/.test(text)],
    ['bare LF', /(?<!\r)\n/.test(text)],
    ['line of more than 998', text.split('\r\n').some((line) => line.length > 998)],
    ['label binary', /^content-transfer-encoding\s*:\s*"?binary/im.test(text)],
    ['8-bit', !isEightBit && /[\x80-\xff]/.test(text)],
  ].flatMap(([what, found]) => (found === true ? [String(what)] : []));
}

async function attachmentsOf(bytes: Buffer): Promise<Attachment[]> {
  return (await simpleParser(bytes)).attachments;
}

function mail(lines: readonly (string | Buffer)[], lineEnd = '\r\n'): Buffer {
  return Buffer.concat(
    lines.map((line) => (typeof line === 'string' ? Buffer.from(`${line}${lineEnd}`, 'latin1') : line)),
  );
}

/** A mail whose second part is `content`, labelled as given. */
function withPart(content: Buffer, label: readonly string[], lineEnd = '\r\n', boundary = 'b'): Buffer {
  const top = [
    'From: a@b.example',
    ...identity,
    'MIME-Version: 1.0',
    `Content-Type: multipart/mixed; boundary=${boundary}`,
    '',
  ];
  const parts = [`--${boundary}`, 'Content-Type: text/plain', '', 'Hi', `--${boundary}`, ...label, ''];
  return mail([...top, ...parts, content, Buffer.from(`${lineEnd}--${boundary}--${lineEnd}`)], lineEnd);
}

/** The contents of all parts, also of those within attached mails. */
async function leavesOf(bytes: Buffer): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const { contentType, content } of await attachmentsOf(bytes)) {
    if (contentType === 'message/rfc822') found.push(...(await leavesOf(content)));
    else found.push(content);
  }
  return found;
}

const binary = ['Content-Type: application/octet-stream', 'Content-Transfer-Encoding: binary'];
const attachedMail = ['Content-Type: message/rfc822', 'Content-Transfer-Encoding: binary'];

describe.each(Object.entries(servers))('to %s', (_server, extensions) => {
  const isEightBit = extensions.eightBitMime;

  test.each(['png', 'octets-8bit', 'nul', 'pdf'])(
    'the octets of %s.eml arrive as they are in the file',
    async (name) => {
      const raw = readFileSync(new URL(`fixtures/${name}.eml`, import.meta.url));
      const start = name === 'pdf' ? raw.indexOf('%PDF') : raw.indexOf('\r\n\r\n') + 4;
      const end = name === 'pdf' ? raw.lastIndexOf('\r\n--b') : raw.length;
      const bytes = await sent({ raw }, extensions);
      expect(faultsOf(bytes, isEightBit)).toEqual([]);
      expect((await attachmentsOf(bytes))[0]?.content).toEqual(Buffer.from(raw.subarray(start, end)));
    },
  );

  test.each([
    ['CRLF', '\r\n'],
    ['LF', '\n'],
  ])('all 256 octets, CR alone and LF alone arrive in a mail whose lines end in %s', async (_, lineEnd) => {
    const contents = [
      allOctets,
      ...['\n', '\r', '\r\n', '\n\r', 'x\r', '\rx\n', '\0'].map((each) => Buffer.from(each)),
    ];
    for (const content of contents) {
      const bytes = await sent({ raw: withPart(content, binary, lineEnd) }, extensions);
      expect(faultsOf(bytes, isEightBit)).toEqual([]);
      expect((await attachmentsOf(bytes))[0]?.content).toEqual(content);
    }
  });

  test('any octets arrive as a part, in an attached mail, in a mail that is attached to that', async () => {
    const octet = fc.oneof(fc.constantFrom(0, 10, 13, 32, 45, 61, 255), fc.integer({ min: 0, max: 255 }));
    const octets = fc.array(octet, { minLength: 1, maxLength: 40 }).map((each) => Buffer.from(each));
    const lineEnds = fc.constantFrom('\r\n', '\n');
    await fc.assert(
      fc.asyncProperty(octets, lineEnds, fc.integer({ min: 0, max: 2 }), fc.boolean(), async (...input) => {
        const [content, lineEnd, depth, isAttached] = input;
        fc.pre(!content.includes('--'));
        let raw = withPart(content, binary, lineEnd);
        for (let level = 1; level <= depth; level += 1) raw = withPart(raw, attachedMail, lineEnd, `outer${level}`);
        const attachments = [{ contentType: 'message/rfc822', content: raw }];
        const bytes = await sent(isAttached ? { text: 'Hi', attachments } : { raw }, extensions);
        expect(faultsOf(bytes, isEightBit)).toEqual([]);
        expect(await leavesOf(bytes)).toContainEqual(content);
      }),
      { numRuns: 200 },
    );
  });
});

describe('what becomes base64', () => {
  test.each<[string, readonly string[], string]>([
    ['a label in capitals', ['Content-Type: image/png', 'CONTENT-TRANSFER-ENCODING: BINARY'], 'a\nb\r'],
    ['a label in quotes', ['Content-Type: image/png', 'Content-Transfer-Encoding: "binary"'], 'a\nb\r'],
    ['a label behind a comment', ['Content-Type: image/png', 'Content-Transfer-Encoding: (raw) binary'], 'a\nb\r'],
    ['a folded label', ['Content-Type: image/png', 'Content-Transfer-Encoding:', '\tbinary'], 'a\nb\r'],
    ['text that is labelled binary', ['Content-Type: text/plain', 'Content-Transfer-Encoding: binary'], 'a\nb\rc'],
    [
      'octets that are labelled 8bit',
      ['Content-Type: image/png', 'Content-Transfer-Encoding: 8bit'],
      '\xff\n\xfe\r\xfd',
    ],
    ['octets that are labelled 7bit', ['Content-Type: image/png', 'Content-Transfer-Encoding: 7bit'], 'a\n\rb'],
    ['octets without a label', ['Content-Type: application/zip'], 'PK\x03\x04\n\r\0'],
    ['text with a NUL', ['Content-Type: text/plain; charset=utf-8'], 'a\0b'],
    ['text with a NUL, without any field', [], 'a\0b'],
    ['UTF-16 with 0x0A as half a character', ['Content-Type: text/plain; charset="UTF-16BE"'], 'N\x0aN\x0d'],
    ['a report with a NUL', ['Content-Type: message/delivery-status'], 'Status: 5.0.0\0'],
  ])('%s', async (_, label, content) => {
    const bytes = await sent({ raw: withPart(Buffer.from(content, 'latin1'), label) });
    expect(faultsOf(bytes, false)).toEqual([]);
    expect(bytes.toString('latin1')).toContain(
      `Content-Transfer-Encoding: base64\r\n\r\n${Buffer.from(content, 'latin1').toString('base64')}\r\n--b--`,
    );
    expect(bytes.toString('latin1').match(/content-transfer-encoding/gi)).toHaveLength(1);
  });

  test('octets in a mail whose lines end in LF, if they are no text', async () => {
    const label = ['Content-Type: image/png', 'Content-Transfer-Encoding: 8bit'];
    const bytes = await sent({ raw: withPart(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), label, '\n') });
    expect((await attachmentsOf(bytes))[0]?.content).toEqual(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'));
  });

  test('NUL in base64 and in quoted-printable, which are encoded anew', async () => {
    const encoded = (encoding: string, body: string) =>
      withPart(Buffer.from(body), ['Content-Type: image/png', `Content-Transfer-Encoding: ${encoding}`]);
    for (const raw of [encoded('base64', 'iVBO\0Rw=='), encoded('quoted-printable', '=89PN\0G')]) {
      const bytes = await sent({ raw });
      expect(faultsOf(bytes, false)).toEqual([]);
    }
    const [attachment] = await attachmentsOf(await sent({ raw: encoded('quoted-printable', '=89PN\0G') }));
    expect(attachment?.content).toEqual(Buffer.from('\x89PN\0G', 'latin1'));
  });

  test('an attached mail that is no mail', async () => {
    const content = Buffer.from('\x89PNG\r\n\x1a\n\0', 'latin1');
    const bytes = await sent({ text: 'Hi', attachments: [{ contentType: 'message/rfc822', content }] });
    expect(faultsOf(bytes, false)).toEqual([]);
    expect(bytes.toString('latin1')).toContain(content.toString('base64'));
  });
});

describe('what stays', () => {
  test.each([
    ['an LF', '\n'],
    ['a CR', '\r'],
  ])('text is lines: %s alone becomes CRLF', async (_, lineEnd) => {
    const label = ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'];
    const bytes = await sent({ raw: withPart(Buffer.from(`é${lineEnd}b`), label) });
    expect(bytes.toString()).toContain('Content-Transfer-Encoding: 8bit\r\n\r\né\r\nb\r\n--b--');
  });

  test('JSON in a mail whose lines end in LF is lines, and an 8-bit part in CRLF lines passes byte for byte', async () => {
    const json = ['Content-Type: application/json'];
    expect((await sent({ raw: withPart(Buffer.from('{\n}'), json, '\n') })).toString()).toContain(
      '\r\n{\r\n}\r\n--b--',
    );
    const eightBit = withPart(Buffer.from('é\r\nb'), [...json, 'Content-Transfer-Encoding: 8bit']);
    expect(await sent({ raw: eightBit })).toEqual(eightBit);
  });

  test('containers lose the label binary, and one that is 8-bit inside is called 8bit', async () => {
    const outer = withPart(Buffer.from('é\r\nb'), [
      'Content-Type: application/json',
      'Content-Transfer-Encoding: 8bit',
    ]);
    const labelled = Buffer.from(
      outer.toString().replace('MIME-Version', 'Content-Transfer-Encoding: binary\r\nMIME-Version'),
    );
    expect((await sent({ raw: labelled })).toString()).toMatch(
      /^From: a@b.example\r\n(?:.*\r\n){2}Content-Transfer-Encoding: 8bit\r\n/,
    );
  });

  test('NUL behind the last part, which no reader shows, is left out with the text around it', async () => {
    const bytes = await sent({ raw: Buffer.concat([withPart(Buffer.from('x'), []), Buffer.alloc(512)]) });
    expect(bytes.toString()).toMatch(/\r\nx\r\n--b--\r\n$/);
  });
});

describe('what is refused', () => {
  const signed = (content: Buffer, label: readonly string[]) =>
    Buffer.from(
      withPart(content, label)
        .toString('latin1')
        .replace('multipart/mixed', 'multipart/signed; protocol="application/pgp-signature"'),
      'latin1',
    );

  test.each<[string, Buffer]>([
    ['binary content in a signed part', signed(Buffer.from('a\nb\r'), binary)],
    ['NUL in a signed text', signed(Buffer.from('a\0'), ['Content-Type: text/plain'])],
    ['NUL in the header of a part', withPart(Buffer.from('x'), ['Content-Type: text/plain; name="\0"'])],
    ['NUL in an encoding that is not known', withPart(Buffer.from('x\0'), ['Content-Transfer-Encoding: x-uuencode'])],
    [
      'octets in a multipart without a boundary',
      mail(['From: a@b.example', 'Content-Type: multipart/mixed', '', 'a\0']),
    ],
  ])('%s', async (_, raw) => {
    expect(await onWire({ raw })).toMatch(/^has (?:a|octets)/);
  });

  test('nothing for a signed part whose binary label is the only oddity: its bytes stay', async () => {
    const raw = signed(Buffer.from('a\r\nb'), binary);
    expect(await sent({ raw })).toEqual(raw);
  });
});
