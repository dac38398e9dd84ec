/** Owns the part of the contract with nodemailer that is about invitations, alternatives and the sender. */
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Message } from '../../src/message/message.ts';
import type { PostlaneTransportOptions } from '../../src/nodemailer.ts';
import { meeting, withCrlf } from './calendar.ts';
import { bytes } from './mailer.ts';

const mail = { from: 'App <app@example.com>', to: 'a@example.net', subject: 'Hello', text: 'Hi' };

interface Tools {
  /** The same mail by nodemailer alone and by a worker, as two receivers see it. */
  readonly bothWays: (make: () => object) => Promise<{ readonly alone: object; readonly ours: object }>;
  readonly recording: (options?: Partial<PostlaneTransportOptions>) => {
    readonly transporter: { sendMail(mail: object): Promise<unknown> };
    readonly stored: () => Message;
  };
}

export function formsContract({ bothWays, recording }: Tools): void {
  test('an invitation, alternatives and a sender travel field by field, with the content that nodemailer alone gives', async () => {
    const forms = {
      sender: 'Ann Assistant <ann@example.com>',
      icalEvent: { method: 'request', filename: 'meeting.ics', content: withCrlf(meeting()) },
      alternatives: [
        { contentType: 'text/x-web-markdown', content: '**Hi** — ü' },
        { contentType: 'application/x-card', content: bytes.subarray(0, 999).toString('hex'), encoding: 'hex' },
      ],
    };
    const { alone, ours } = await bothWays(() => ({ ...mail, html: '<p>Hi</p>', ...forms }));
    expect(ours).toEqual(alone);
    const { transporter, stored } = recording();
    await transporter.sendMail({ ...mail, ...forms });
    expect(stored()).toMatchObject({
      sender: { name: 'Ann Assistant', address: 'ann@example.com' },
      calendarEvent: { method: 'REQUEST', filename: 'meeting.ics', content: withCrlf(meeting()) },
      alternatives: [{ encoding: 'utf8' }, { encoding: 'base64' }],
    });
  });

  test.each([
    ['that it calls something else than its content does', { content: withCrlf(meeting()) }],
    ['without a METHOD', { method: 'REQUEST', content: withCrlf(meeting(null)) }],
    ['that is too long', { method: 'REQUEST', content: withCrlf(meeting('REQUEST', ['X-A:'.padEnd(300_000, 'a')])) }],
    ['that is a stream', () => ({ method: 'REQUEST', content: Readable.from([Buffer.from(withCrlf(meeting()))]) })],
    ['that is a text', withCrlf(meeting('CANCEL'))],
  ])('an invitation %s goes as nodemailer composes it', async (_, given) => {
    const make = (): object => ({ ...mail, icalEvent: typeof given === 'function' ? given() : given });
    const { alone, ours } = await bothWays(make);
    expect(ours).toEqual(alone);
  });

  test('in structured mode the method of an invitation is that of its content, which may be read from a file', async () => {
    const { transporter, stored } = recording({ mode: 'structured' });
    await transporter.sendMail({ ...mail, icalEvent: { content: Readable.from([meeting('CANCEL')]) } });
    expect(stored().calendarEvent).toMatchObject({ method: 'CANCEL', content: withCrlf(meeting('CANCEL')) });
    await transporter.sendMail({ ...mail, icalEvent: meeting(), alternatives: [] });
    expect(stored().calendarEvent).toMatchObject({ method: 'REQUEST', filename: 'invite.ics' });
    const refused = transporter.sendMail({ ...mail, icalEvent: { method: 'REQUEST', content: 'no calendar' } });
    await expect(refused).rejects.toMatchObject({
      code: 'EMESSAGE',
      message: expect.stringContaining('calendarEvent'),
    });
    const two = transporter.sendMail({ ...mail, sender: 'a@example.com, b@example.com' });
    await expect(two).rejects.toMatchObject({ code: 'EENVELOPE' });
  });
}
