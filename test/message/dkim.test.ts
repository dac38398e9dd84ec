/** Signatures are good by a verifier that is not ours, and each attempt has the same bytes. */
import { expect, onTestFinished, test } from 'vitest';
import { signMail } from '../../src/message/dkim.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { settled, sink } from '../support/accounting.ts';
import { dkimKey, hasVerifier, verifies } from '../support/dkim.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const key = dkimKey();
const head = 'From: Shop <shop@example.com>\r\nTo: zoe@example.net\r\nSubject: s\r\nMessage-ID: <m@example.com>\r\n';

test.skipIf(!hasVerifier).each([
  ['a plain one', `${head}\r\nHello\r\n`],
  ['one without a body', `${head}\r\n`],
  ['one that ends in empty lines', `${head}\r\nHello\r\n\r\n\r\n`],
  ['one without a last line end', `${head}\r\nHello`],
  ['one with blanks at line ends, and tabs', `${head}X-A:   b\t c \r\n\r\na  b\t\tc  \r\n \r\n.\r\n..\r\n`],
  [
    'one with a folded and a repeated field',
    `${head}X-Long: a\r\n\tb\r\n c\r\nReceived: x\r\nReceived: y\r\n\r\nt\r\n`,
  ],
  ['one in UTF-8', `${head}X-Name: Zoë\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nZoë\u00a0\u2028ü\r\n`],
  ['one of 3 MB', `${head}\r\n${'0123456789 abcdefghijk\r\n'.repeat(130_000)}`],
])('%s verifies, and not once it is changed', async (_title, mail) => {
  const signed = await signMail(Buffer.from(mail), key);
  expect(signed.subarray(-Buffer.byteLength(mail)).equals(Buffer.from(mail))).toBe(true);
  expect(await verifies(signed, key)).toBe(true);
  const changed = Buffer.from(signed.toString('latin1').replace('Subject: s', 'Subject: t'), 'latin1');
  expect(await verifies(changed, key)).toBe(false);
  expect(await verifies(signed, dkimKey())).toBe(false);
});

test.skipIf(!hasVerifier)('a Sender that is changed on the way breaks the signature', async () => {
  const signed = await signMail(Buffer.from(`Sender: Ann <ann@example.com>\r\n${head}\r\nHello\r\n`), key);
  expect(await verifies(signed, key)).toBe(true);
  const changed = signed.toString().replace('Sender: Ann <ann@example.com>', 'Sender: Boss <boss@example.com>');
  expect(await verifies(Buffer.from(changed), key)).toBe(false);
});

test('a mail is signed alike each time', async () => {
  const mail = Buffer.from(`${head}\r\nHello\r\n`);
  expect((await signMail(mail, key)).equals(await signMail(mail, key))).toBe(true);
});

test('a key that cannot sign is an error, and no unsigned mail', async () => {
  await expect(signMail(Buffer.from(`${head}\r\nt\r\n`), { ...key, privateKey: 'none' })).rejects.toThrow('not signed');
});

test.skipIf(!hasVerifier)(
  'what a server gets verifies, and is the same after a retry: text, HTML, attachments, finished mail',
  async () => {
    const refused = new Set<string>();
    // Each of them once.
    const isNew = (address: string): boolean => !refused.has(address) && refused.add(address).has(address);
    const once = ({ to }: { readonly to: readonly string[] }): string | undefined =>
      isNew(to[0]!) ? '451 4.3.0 later' : undefined;
    const server = await sink({ script: { '.': once } });
    const settings = smtpSettings(server.port);
    const transport = createSmtpTransport({ settings, hostname: 'test.example', maxConnections: 2 });
    onTestFinished(() => transport.close());
    const prefix = testPrefix();
    await startWorker({ prefix, config: configOf({ relay: { dkim: key } }), transports: { relay: transport } });
    const producer = testProducer(prefix);
    const mail = { from: 'Zoë <shop@example.com>', subject: 'Grüße' };
    await producer.send({ ...mail, id: 'text', to: 'text@example.net', text: 'Hello\n.\n..\nü  \n\n' });
    await producer.send({
      ...mail,
      id: 'html',
      to: 'html@example.net',
      text: 'Hello',
      html: '<p>Hello</p>',
      bcc: 'b@example.net',
    });
    await producer.send({
      ...mail,
      id: 'file',
      to: 'file@example.net',
      text: 'x',
      attachments: [{ filename: 'a.bin', content: Buffer.alloc(90_000, 7) }],
    });
    await producer.send({
      id: 'raw',
      raw: 'From: shop@example.com\nTo: z@example.net\nBcc: b@example.net\nSubject: raw\n\nt',
      envelope: { from: 'shop@example.com', to: ['z@example.net'] },
    });
    for (const row of await settled(producer, ['text', 'html', 'file', 'raw']))
      // Which refusals count as attempts of a message depends on what others met meanwhile.
      expect(row).toMatchObject({ state: 'sent' });
    const got = server.received.transactions.map(({ bytes }) => bytes);
    expect(got).toHaveLength(8);
    expect(new Set(got.map(String)).size).toBe(4);
    for (const bytes of got) expect(await verifies(bytes, key)).toBe(true);
  },
);

test.skipIf(!hasVerifier).each([
  ['a line of 1,200 characters', '8BITMIME', 'x'.repeat(1_200)],
  ['8-bit text, to a server without 8BITMIME', 'SIZE', 'Grüße'],
  ['both, in HTML of an application', 'SIZE', `<p>${'ü'.repeat(1_200)}</p>`],
])('what a server gets verifies: a finished mail with %s', async (_title, extension, line) => {
  const server = await sink({ extensions: ['PIPELINING', extension] });
  const transport = createSmtpTransport({
    settings: smtpSettings(server.port),
    hostname: 'test.example',
    maxConnections: 2,
  });
  onTestFinished(() => transport.close());
  const prefix = testPrefix();
  await startWorker({ prefix, config: configOf({ relay: { dkim: key } }), transports: { relay: transport } });
  const producer = testProducer(prefix);
  await producer.send({
    id: 'raw',
    raw: `From: shop@example.com\nTo: z@example.net\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${line}\n`,
    envelope: { from: 'shop@example.com', to: ['z@example.net'] },
  });
  expect((await settled(producer, ['raw']))[0]).toMatchObject({ state: 'sent' });
  expect(await verifies(server.received.transactions[0]!.bytes, key)).toBe(true);
});

test('both fields of one-click unsubscribing are signed (RFC 8058 section 4)', async () => {
  const fields = 'List-Unsubscribe: <https://x.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n';
  const signed = (await signMail(Buffer.from(`${head}${fields}\r\nt\r\n`), key)).toString();
  const names = /;h=([^;]+);/.exec(signed.replace(/\s/g, ''))?.[1]?.toLowerCase().split(':');
  expect(names).toEqual(expect.arrayContaining(['from', 'list-unsubscribe', 'list-unsubscribe-post']));
});
