/** Owns the contract of `postlane/nodemailer` with one release of nodemailer: what an application sees, and what arrives. */
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { simpleParser } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Message } from '../../src/message/message.ts';
import { createRecordingProducer } from '../../src/producer/recording.ts';
import { postlaneTransport, withPostlane, type PostlaneTransportOptions } from '../../src/nodemailer.ts';
import type { PostlaneMailInfo } from '../../src/nodemailer.ts';
import { until } from '../../testkit/until.ts';
import { formsContract } from './mailer-forms.ts';
import { bytes, filesAndUrls, seen, type AnyNodemailer } from './mailer.ts';
import { configOf, startWorker } from './postlane.ts';
import { redisUrl, shardCount, testPrefix } from './redis.ts';

const mail = { from: 'App <app@example.com>', to: 'a@example.net', subject: 'Hello', text: 'Hi' };

export function mailerContract(name: string, nodemailer: AnyNodemailer): void {
  const recording = (options: Partial<PostlaneTransportOptions> = {}, defaults?: object) => {
    const producer = createRecordingProducer();
    const transport = postlaneTransport({ producer, ...options } as PostlaneTransportOptions);
    const transporter = nodemailer.createTransport(transport, defaults);
    const stored = (): Message => producer.sent.at(-1)!.message;
    return { transporter, producer, stored };
  };

  describe(`by ${name}`, () => {
    const places = filesAndUrls();

    /** The same mail by nodemailer alone, composed, and by a worker: as two receivers see it. */
    const bothWays = async (make: () => object): Promise<{ alone: object; ours: object; info: PostlaneMailInfo }> => {
      const prefix = testPrefix();
      const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
      const redis = { url: redisUrl(), prefix, shards: shardCount() };
      const transporter = nodemailer.createTransport(postlaneTransport({ redis, timeoutMs: 30_000 }));
      onTestFinished(() => transporter.close());
      const info = await transporter.sendMail(make());
      const alone = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
      const composed = (await alone.sendMail(make())) as unknown as { message: Buffer };
      const [sent] = await until(() => (recorded('relay').mails.length > 0 ? recorded('relay').mails : null), {
        what: 'the mail at the transport',
      });
      const parsed = await simpleParser(sent!.bytes);
      expect(parsed.messageId).toBe(info.messageId);
      expect(parsed.headers.has('bcc')).toBe(false);
      return { alone: seen(await simpleParser(composed.message)), ours: seen(parsed), info };
    };

    test('a mail with every usual field has the content that nodemailer alone gives it', async () => {
      const { alone, ours, info } = await bothWays(() => ({
        from: { name: 'Ärztin, Büro', address: 'app@example.com' },
        to: 'Ann <a@example.net>, b@example.net',
        cc: [{ name: 'Carla "CC"', address: 'c@example.net' }, 'd@example.net'],
        bcc: 'hidden@example.net',
        replyTo: 'replies@example.com',
        subject: 'Grüße\nund mehr',
        text: 'Plain — text\nline',
        html: Readable.from(['<p>HTML <img src="cid:logo"></p>']),
        inReplyTo: '<parent@example.net>',
        references: ['<root@example.net>', '<parent@example.net>'],
        headers: { 'X-One': 'first', 'X-Many': ['a', 'b'] },
        priority: 'high',
        xMailer: 'App 1.0',
        attachments: [
          { path: places.file },
          { filename: 'stream.bin', content: Readable.from([bytes]) },
          { filename: 'text.txt', content: 'Grüße' },
          { filename: 'base.dat', content: bytes.toString('base64'), encoding: 'base64' },
          { filename: 'logo.png', path: `${places.url()}/moved`, cid: 'logo' },
          { href: `${places.url()}/terms.txt?x=1` },
          { filename: 'data.txt', path: 'data:text/plain;base64,SGVsbG8=' },
        ],
      }));
      expect(ours).toEqual(alone);
      expect(info.accepted).toEqual([
        'a@example.net',
        'b@example.net',
        'c@example.net',
        'd@example.net',
        'hidden@example.net',
      ]);
    });

    test('a mail that only nodemailer can compose goes raw, with the same content and its own Message-ID', async () => {
      const { alone, ours, info } = await bothWays(() => ({
        ...mail,
        bcc: 'hidden@example.net',
        messageId: '<own@example.com>',
        date: new Date(0),
        list: { unsubscribe: { url: 'https://example.com/u', comment: 'Stop' } },
        alternatives: [{ contentType: 'text/x-web-markdown', content: '**Hi**', headers: { 'X-Form': '1' } }],
        icalEvent: { method: 'REQUEST', content: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n' },
        amp: '<!doctype html><html amp4email></html>',
      }));
      expect(ours).toEqual(alone);
      expect(info.messageId).toBe('<own@example.com>');
      expect(info.accepted).toEqual(['a@example.net', 'hidden@example.net']);
    });

    formsContract({ bothWays, recording });

    test('info has every list, and the id as the reply', async () => {
      const { transporter, producer } = recording();
      const info = await transporter.sendMail(mail);
      const { id } = producer.sent[0]!;
      expect(info).toEqual({
        envelope: { from: 'app@example.com', to: ['a@example.net'] },
        messageId: expect.stringMatching(/^<.+@example\.com>$/) as string,
        accepted: ['a@example.net'],
        rejected: [],
        pending: [],
        response: `250 2.0.0 queued as ${id}`,
        id,
        duplicate: false,
      });
    });

    test('callbacks get what promises do', async () => {
      const { transporter } = recording();
      const info = await new Promise<PostlaneMailInfo>((resolve, reject) => {
        transporter.sendMail(mail, (error, result) => (error === null ? resolve(result) : reject(error)));
      });
      expect(info.rejected).toEqual([]);
      await expect(transporter.verify()).resolves.toBe(true);
      const ready = await new Promise((resolve) => transporter.verify((error, result) => resolve([error, result])));
      expect(ready).toEqual([null, true]);
      expect(transporter.isIdle()).toBe(true);
    });

    test('the field `postlane` gives id, times, place and notes, and a misspelt one is refused', async () => {
      const { transporter, stored } = recording();
      const sendAt = new Date(Date.now() + 60_000);
      const fields = { id: 'order-1', sendAt, priority: 'low', metadata: { order: '1' } } as const;
      const info = await transporter.sendMail(withPostlane(mail, fields));
      expect(info).toMatchObject({ id: 'order-1', duplicate: false });
      expect(stored()).toMatchObject({ ...fields, sendAt: sendAt.toISOString() });
      expect(await transporter.sendMail(withPostlane(mail, fields))).toMatchObject({ id: 'order-1', duplicate: true });
      const misspelt = transporter.sendMail({ ...mail, postlane: { sendAfter: sendAt } });
      await expect(misspelt).rejects.toMatchObject({
        code: 'EMESSAGE',
        message: expect.stringContaining('postlane.sendAfter') as string,
      });
    });

    test('an invalid address is EENVELOPE, another invalid field EMESSAGE, and nothing is stored', async () => {
      const { transporter, producer } = recording();
      await expect(transporter.sendMail({ ...mail, to: 'nobody' })).rejects.toMatchObject({ code: 'EENVELOPE' });
      await expect(transporter.sendMail({ ...mail, to: '' })).rejects.toMatchObject({ code: 'EENVELOPE' });
      const bad = { ...mail, postlane: { id: 'no id!' } };
      await expect(transporter.sendMail(bad)).rejects.toMatchObject({ code: 'EMESSAGE' });
      expect(producer.sent).toEqual([]);
    });

    test('a line break in an address adds no recipient and no header field', async () => {
      const { transporter, producer } = recording();
      for (const to of ['a@example.net\r\nBcc: evil@example.org', 'a@example.net>\r\nRCPT TO:<evil@example.org']) {
        await expect(transporter.sendMail({ ...mail, to })).rejects.toMatchObject({ code: 'EENVELOPE' });
      }
      await transporter.sendMail({
        ...mail,
        subject: 'x\r\nBcc: evil@example.org',
        headers: { 'X-A': 'b\r\nBcc: e@f.gh' },
      });
      expect(producer.sent.map(({ message }) => message)).toMatchObject([
        {
          subject: 'x Bcc: evil@example.org',
          headers: { 'X-A': ['b Bcc: e@f.gh'] },
          envelope: { to: ['a@example.net'] },
        },
      ]);
    });

    test('files and URLs are not opened where access is disabled, structured or raw', async () => {
      const closed = { disableFileAccess: true, disableUrlAccess: true };
      for (const mode of ['auto', 'raw'] as const) {
        const { transporter } = recording({ mode }, closed);
        const file = transporter.sendMail({ ...mail, attachments: [{ path: places.file }] });
        await expect(file).rejects.toThrow(/File access rejected/);
        const url = transporter.sendMail({ ...mail, attachments: [{ href: `${places.url()}/x` }] });
        await expect(url).rejects.toThrow(/Url access rejected/);
      }
    });

    test('what is read of files, URLs and streams ends at the limit, structured or raw', async () => {
      for (const mode of ['auto', 'raw'] as const) {
        const { transporter, producer } = recording({ mode, message: { maxBytes: 20_000 } });
        let taken = 0;
        const endless = new Readable({
          read() {
            taken += 1_000;
            this.push(Buffer.alloc(1_000));
          },
        });
        const attachments = [{ filename: 'endless.bin', content: endless }];
        await expect(transporter.sendMail({ ...mail, attachments })).rejects.toMatchObject({ code: 'EMESSAGE' });
        expect(taken).toBeLessThan(1_000_000);
        const large = transporter.sendMail({ ...mail, attachments: [{ path: places.file }] });
        await expect(large).rejects.toMatchObject({ code: 'EMESSAGE' });
        expect(producer.sent).toEqual([]);
      }
    });

    test('content that cannot be read is ESTREAM and names its field', async () => {
      const { transporter } = recording();
      for (const attachment of [
        { path: `${places.file}.not` },
        { path: tmpdir() },
        { href: `${places.url()}/missing` },
      ]) {
        await expect(transporter.sendMail({ ...mail, attachments: [attachment] })).rejects.toMatchObject({
          code: 'ESTREAM',
          message: expect.stringMatching(/^attachments\[0\]/) as string,
        });
      }
    });

    test('a signal ends the reading of content, and nothing is stored', async () => {
      const { transporter, producer } = recording();
      const stop = new AbortController();
      const stuck = new Readable({ read() {} });
      const sending = transporter.sendMail({ ...mail, signal: stop.signal, attachments: [{ content: stuck }] });
      setImmediate(() => setImmediate(() => stop.abort()));
      await expect(sending).rejects.toMatchObject({ code: 'EABORT', name: 'AbortError' });
      expect(producer.sent).toEqual([]);
    });

    test('a plugin that changes the composed mail is heeded, and one that changes the fields too', async () => {
      const { transporter, stored } = recording();
      transporter.use('compile', ({ data }, done) => {
        data['text'] = 'from a template';
        done();
      });
      await transporter.sendMail({ ...mail, template: 'welcome', context: { name: 'Ann' } });
      expect(stored()).toMatchObject({ text: 'from a template' });
      transporter.use('stream', (_, done) => done());
      await transporter.sendMail(mail);
      expect(stored().raw).toBeDefined();
    });

    test('a null sender stays one, and a finished mail brings its own recipients', async () => {
      const { transporter, stored } = recording();
      await transporter.sendMail({ ...mail, envelope: { from: false, to: 'x@example.net' } });
      expect(stored().envelope).toEqual({ from: '', to: ['x@example.net'] });
      const raw = 'From: app@example.com\r\nTo: r@example.net\r\nMessage-ID: <raw@example.com>\r\n\r\nHi\r\n';
      const info = await transporter.sendMail({ raw });
      expect(info).toMatchObject({ accepted: ['r@example.net'], messageId: '<raw@example.com>' });
      expect(stored().envelope).toEqual({ from: 'app@example.com', to: ['r@example.net'] });
    });

    test('what an SMTP session would have to promise is refused, not forgotten', async () => {
      const { transporter } = recording();
      const sending = transporter.sendMail({ ...mail, requireTLSExtensionEnabled: true });
      await expect(sending).rejects.toMatchObject({ code: 'EMESSAGE' });
    });

    test('delivery reports are asked for, structured or raw, and words that mean nothing are refused', async () => {
      for (const mode of ['auto', 'raw'] as const) {
        const { transporter, stored } = recording({ mode });
        const dsn = { id: 'x', return: 'headers', notify: ['FAILURE', 'delay'], recipient: 'a@example.com' };
        await transporter.sendMail({ ...mail, dsn });
        expect(stored().dsn).toEqual({ notify: ['failure', 'delay'], return: 'headers' });
        await transporter.sendMail({ ...mail, dsn: { ret: 'HDRS', notify: 'never' } });
        expect(stored().dsn).toEqual({ notify: 'never', return: 'headers' });
        const bad = transporter.sendMail({ ...mail, dsn: { notify: 'always' } });
        await expect(bad).rejects.toMatchObject({ code: 'EMESSAGE' });
      }
    });
  });
}
