/** SMTPUTF8 on the wire: announced when the header needs it, and no UTF-8 in a header for a server that does not offer it. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const withField = (field: string): Buffer => Buffer.from(`${field}\r\nX-Last: 1\r\n\r\nhello\r\n`);

describe('a header in UTF-8 under an envelope in ASCII', () => {
  test.each(['Subject: Grüße', 'Reply-To: jörg@example.com', 'From: jörg@example.com', 'Cc: jörg@example.com'])(
    'with %j is announced to a server that offers SMTPUTF8, and arrives as it is',
    async (field) => {
      const { server, transport } = await smtpPair({ extensions: ['8BITMIME', 'SMTPUTF8'] });
      const bytes = withField(field);
      expect(summary(await sendBy(transport, mailOf({ bytes })))).toBe('accepted');
      const [arrived] = server.received.transactions;
      expect(arrived?.parameters).toEqual(['SMTPUTF8']);
      expect(arrived?.bytes.equals(bytes)).toBe(true);
    },
  );

  test.each([[['8BITMIME']], [[]]])('is written in ASCII for a server that offers %j', async (extensions) => {
    const { server, transport } = await smtpPair({ extensions });
    expect(summary(await sendBy(transport, mailOf({ bytes: withField('Subject: Grüße') })))).toBe('accepted');
    const [arrived] = server.received.transactions;
    expect(arrived?.parameters).toEqual([]);
    expect(arrived?.bytes.toString()).toContain('Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n');
  });

  test.each(['Reply-To: jörg@example.com', 'From: jörg@example.com'])(
    'with %j is refused for every recipient where SMTPUTF8 is not offered, and the session goes on',
    async (field) => {
      const { server, transport } = await smtpPair({ extensions: ['8BITMIME'] });
      const to = ['a@example.net', 'b@example.net'];
      const outcome = await sendBy(transport, mailOf({ bytes: withField(field), to }));
      expect(summary(outcome)).toBe('rejected rejected');
      expect(JSON.stringify(outcome)).toContain('the server does not offer SMTPUTF8');
      expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
      expect(server.received.connections).toBe(1);
    },
  );
});
