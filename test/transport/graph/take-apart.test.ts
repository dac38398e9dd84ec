/** A finished mail that is too large for one request: in parts it arrives with every attachment as it was, or is refused in words. */
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { maxAttachments } from '../../../src/message/bounds.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { takeApart } from '../../../src/transport/graph/take-apart.ts';
import type { OutgoingMail } from '../../../src/transport/transport.ts';
import { freely, graphPair } from '../../support/graph-client.ts';

const recipients = ['a@example.net', 'hidden@example.net'];
const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const lines = (...all: string[]): string => all.join('\r\n');
const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll(/.{76}/g, '$&\r\n');

const header = lines(
  'From: Scanner <sales@example.com>',
  'To: A <a@example.net>, =?utf-8?B?w4k=?= <not-now@example.net>',
  'Subject: =?utf-8?Q?R=C3=A9sum=C3=A9?=',
  'Message-ID: <scan-1@example.com>',
  'Reply-To: office@example.com',
  'X-Scanner: third floor',
  'MIME-Version: 1.0',
);

/** A multipart of that type with these parts. */
function multipart(type: string, ...parts: string[]): string {
  const boundary = `b-${createHash('sha1').update(parts.join()).digest('hex').slice(0, 10)}`;
  const inside = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('');
  return `Content-Type: multipart/${type}; boundary="${boundary}"\r\n\r\n${inside}--${boundary}--\r\n`;
}

const part = (type: string, body: string, ...fields: string[]): string =>
  lines(`Content-Type: ${type}`, ...fields, '', body);

const mailOf = (body: string, above = header): Buffer => Buffer.from(`${above}\r\n${body}`, 'latin1');

const outgoing = (bytes: Buffer): OutgoingMail => ({
  id: 'scan-1',
  envelope: { from: 'sales@example.com', to: recipients },
  bytes,
});

async function parts(body: string, above?: string) {
  const apart = await takeApart(mailOf(body, above), recipients);
  if (!apart.ok) throw new Error(apart.problem);
  const { message, contentOf } = apart.structured;
  const attachments = [];
  for (const attachment of message.attachments) {
    const { filename, contentType, cid, disposition } = attachment;
    attachments.push({ filename, contentType, cid, disposition, bytes: await contentOf(attachment) });
  }
  return { message, attachments };
}

const problemOf = async (body: string, above?: string): Promise<string | null> => {
  const apart = await takeApart(mailOf(body, above), recipients);
  return apart.ok ? null : apart.problem;
};

const bytesOfAll = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

describe('through Graph', () => {
  test('a scan of 25 MB arrives byte for byte, to exactly the recipients of the envelope', async () => {
    const { graph, transport } = await graphPair();
    const [scan, small] = [randomBytes(25_000_000), Buffer.from('a,b\r\n1,2\r\n')];
    const body = multipart(
      'mixed',
      part('text/plain; charset=utf-8', 'see the scan'),
      part(
        'application/pdf',
        base64(scan),
        'Content-Transfer-Encoding: base64',
        'Content-Disposition: attachment; filename=scan.pdf',
      ),
      part('text/csv', small.toString(), 'Content-Disposition: attachment; filename=pages.csv'),
    );
    expect(await transport.send(outgoing(mailOf(body)), freely)).toMatchObject({
      kind: 'settled',
      recipients: [{ outcome: 'accepted' }, { outcome: 'accepted' }],
    });
    expect(graph.deliveries.map(({ recipient, as }) => `${recipient} ${as}`)).toEqual([
      'a@example.net to',
      'hidden@example.net bcc',
    ]);
    const [copy] = graph.mailbox('sales@example.com').in('sentitems');
    expect(copy?.attachments.map(({ name, chunks }) => [name, hash(Buffer.concat(chunks))])).toEqual([
      ['scan.pdf', hash(scan)],
      ['pages.csv', hash(small)],
    ]);
    expect(graph.mailbox('sales@example.com').in('drafts')).toEqual([]);
  });

  test('what is signed is refused as too large, in words that say so, with nothing on the wire', async () => {
    const { graph, transport } = await graphPair();
    const body = multipart('signed', part('text/plain', 'x'.repeat(3_000_000)), part('application/pgp-signature', 'x'));
    const outcome = await transport.send(outgoing(mailOf(body)), freely);
    const text = expect.stringMatching(/^the message has 3000\d+ bytes; .*only in parts, and it is signed/);
    expect(outcome).toMatchObject({
      kind: 'settled',
      recipients: [{ outcome: 'rejected', tooLarge: true, reply: { text } }, {}],
    });
    const ofMessages: string[] = [
      'createMessage',
      'createUploadSession',
      'uploadRange',
      'send',
      'sendMail',
      'addAttachment',
    ];
    expect(graph.requests.filter(({ operation }) => ofMessages.includes(operation))).toEqual([]);
  });

  test('what cannot be uploaded now is deferred, and leaves no draft', async () => {
    const { graph, transport } = await graphPair();
    graph.script('uploadRange', () => faults.badGateway());
    const body = part('application/pdf', base64(randomBytes(4_000_000)), 'Content-Transfer-Encoding: base64');
    const outcome = await transport.send(outgoing(mailOf(body)), freely);
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'deferred' }, { outcome: 'deferred' }] });
    expect([graph.mailbox('sales@example.com').in('drafts'), graph.deliveries]).toEqual([[], []]);
  });
});

describe('in parts', () => {
  test('of header fields, Graph gets the addresses, the subject and the X- fields', async () => {
    const { message } = await parts(part('text/plain', 'hello'));
    expect(message).toMatchObject({
      from: { name: 'Scanner', address: 'sales@example.com' },
      to: [{ address: 'a@example.net' }, { name: 'É', address: 'not-now@example.net' }],
      replyTo: [{ address: 'office@example.com' }],
      subject: 'Résumé',
      headers: { 'X-Scanner': ['third floor'] },
      envelope: { to: recipients },
    });
  });

  test('a Bcc field is not carried over: the envelope alone says who gets the mail', async () => {
    const above = 'From: sales@example.com\r\nTo: a@example.net\r\nBcc: hidden@example.net';
    const { message } = await parts(part('text/plain', 'x'), above);
    expect([message.bcc, message.envelope.to, JSON.stringify(message.headers)]).toEqual([[], recipients, '{}']);
  });

  test('HTML is the body, its picture is inline, and the plain alternative is not there twice', async () => {
    const picture = randomBytes(300);
    const related = multipart(
      'related',
      part(
        'text/html; charset=iso-8859-1',
        '<p>Gr=FC=DFe <img src="cid:logo@1"></p>',
        'Content-Transfer-Encoding: quoted-printable',
      ),
      part('image/png', base64(picture), 'Content-Transfer-Encoding: base64', 'Content-ID: <logo@1>'),
    );
    const { message, attachments } = await parts(
      multipart(
        'mixed',
        multipart('alternative', part('text/plain', 'Gruesse'), related),
        part('text/plain', 'footer <1>'),
      ),
    );
    expect(message.html).toContain('<p>Grüße <img src="cid:logo@1"></p>');
    expect(message.html).toContain('<pre>footer &lt;1&gt;');
    expect([message.text, message.html?.includes('Gruesse')]).toEqual([undefined, false]);
    expect(attachments).toEqual([
      { filename: undefined, contentType: 'image/png', cid: 'logo@1', disposition: 'inline', bytes: picture },
    ]);
  });

  test('of an alternative, what Graph has no property for is left out; a file in it stays', async () => {
    const { message, attachments } = await parts(
      multipart(
        'alternative',
        part('text/plain', 'plain'),
        part('text/x-amp-html', '<amp>'),
        part('application/pdf', 'x', 'Content-Disposition: attachment; filename=x.pdf'),
      ),
    );
    expect(message.text).toMatch(/^plain/);
    expect(attachments.map(({ filename }) => filename)).toEqual(['x.pdf']);
  });

  test('an attachment with a Content-ID that nothing refers to is not hidden', async () => {
    const { attachments } = await parts(
      multipart(
        'mixed',
        part('text/html', '<p>x'),
        part('image/png', 'x', 'Content-ID: <a@b>', 'Content-Disposition: inline'),
      ),
    );
    expect(attachments).toMatchObject([{ cid: 'a@b', disposition: 'attachment' }]);
  });

  test('texts without HTML become one text', async () => {
    const { message } = await parts(multipart('mixed', part('text/plain', 'one'), part('text/plain', 'two')));
    expect([message.text, message.html]).toEqual([expect.stringMatching(/^one\s+two\s*$/), undefined]);
  });

  test.each([
    ['base64', base64(bytesOfAll)],
    [
      'quoted-printable',
      [...bytesOfAll].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    ],
  ])('octets in %s are what they were', async (encoding, body) => {
    const { attachments } = await parts(
      multipart(
        'mixed',
        part('text/plain', 'x'),
        part('application/x-any', body, `Content-Transfer-Encoding: ${encoding}`),
      ),
    );
    expect(attachments.map(({ bytes }) => hash(bytes))).toEqual([hash(bytesOfAll)]);
  });

  test('a text that is a file, a calendar that is a file and a forwarded mail stay attachments as they are', async () => {
    const forwarded = lines('From: a@example.org', 'Subject: old', '', 'text');
    const { message, attachments } = await parts(
      multipart(
        'mixed',
        part('text/plain', 'see below'),
        part('text/plain', 'a file\r\nof two lines', "Content-Disposition: inline; filename*=utf-8''%C3%A9t%C3%A9.txt"),
        part('text/calendar; name=dates.ics', 'BEGIN:VCALENDAR', 'Content-Disposition: attachment'),
        part('message/rfc822', forwarded),
      ),
    );
    expect(message.text).toMatch(/^see below\s*$/);
    expect(attachments.map(({ filename, bytes }) => [filename, bytes.toString()])).toEqual([
      ['été.txt', 'a file\r\nof two lines'],
      ['dates.ics', 'BEGIN:VCALENDAR'],
      ['message.eml', forwarded],
    ]);
  });

  test('ranges of an attachment are ranges of its octets', async () => {
    const apart = await takeApart(
      mailOf(part('application/x-any', base64(bytesOfAll), 'Content-Transfer-Encoding: base64')),
      recipients,
    );
    if (!apart.ok) throw new Error(apart.problem);
    const { message, rangeOf } = apart.structured;
    expect(message.attachments).toMatchObject([{ size: 256 }]);
    expect(await rangeOf(message.attachments[0]!, 10, 20)).toEqual(bytesOfAll.subarray(10, 20));
  });
});

describe('is refused', () => {
  const pgp = 'encrypted; protocol="application/pgp-encrypted"';
  test.each([
    [
      'is encrypted',
      multipart(pgp, part('application/pgp-encrypted', 'Version: 1'), part('application/octet-stream', 'x')),
    ],
    [
      'is signed or encrypted (S/MIME)',
      part('application/pkcs7-mime; smime-type=signed-data', 'AAAA', 'Content-Transfer-Encoding: base64'),
    ],
    ['is signed', multipart('mixed', part('text/plain', 'x'), multipart('signed', part('text/plain', 'y')))],
    ['is a report', multipart('report; report-type=delivery-status', part('text/plain', 'x'))],
    ['is an invitation', multipart('alternative', part('text/plain', 'x'), part('text/calendar; method=REQUEST', 'x'))],
    ['has a part in an encoding that is not known', part('application/pdf', 'x', 'Content-Transfer-Encoding: x-uue')],
    [
      `has more than ${maxAttachments} parts`,
      multipart('mixed', ...Array.from({ length: maxAttachments + 5 }, () => part('text/plain', 'x'))),
    ],
  ])('what %s', async (why, body) => {
    expect(await problemOf(body)).toContain(why);
  });

  test.each([
    ['To: <<<', 'has a To field that'],
    ['Reply-To: "', 'has a Reply-To field that'],
  ])('%j, which no property can hold', async (field, why) => {
    expect(await problemOf(part('text/plain', 'x'), `From: sales@example.com\r\n${field}`)).toContain(why);
  });

  test('a text of more than Graph takes, before anything is made of it', async () => {
    expect(await problemOf(part('text/plain', 'x'.repeat(3_900_001)))).toContain('has a text of 3900001 characters');
  });

  test.each(['constructor', '__proto__', 'toString'])(
    'attack: a Content-Type %j is a part like any other',
    async (type) => {
      const { attachments } = await parts(part(type, 'x'));
      expect(attachments).toHaveLength(1);
    },
  );

  test('attack: 900 Content-IDs beside much HTML are looked up, not searched for', async () => {
    const pictures = Array.from({ length: 900 }, (_, i) => part('image/png', 'x', `Content-ID: <p${i}@x>`));
    const html = part('text/html', `<img src="cid:p1%40x">${'<p>cid:</p>'.repeat(300_000)}`);
    const { attachments } = await parts(multipart('related', html, ...pictures));
    expect(attachments.filter(({ disposition }) => disposition === 'inline').map(({ cid }) => cid)).toEqual(['p1@x']);
  });

  test('a bomb of nested multiparts costs no more than its bytes', async () => {
    const deep = Array.from(
      { length: 20_000 },
      (_, at) => `Content-Type: multipart/mixed; boundary=b${at}\r\n\r\n--b${at}\r\n`,
    );
    expect(await problemOf(deep.join(''))).toContain('parts');
  });
});
