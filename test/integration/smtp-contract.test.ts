/** The SMTP transport keeps the contract, against a scripted server; and nodemailer still does what the session relies on. */
import SMTPConnection, { type SMTPConnectionEnvelope } from 'nodemailer/lib/smtp-connection';
import { describe, expect, it } from 'vitest';
import { transportContract, type Scene } from '../contract/transport-contract.ts';
import { smtpPair } from '../support/smtp-client.ts';
import type { SmtpServerOptions } from '../support/smtp-server.ts';

const scripts: Readonly<Record<Exclude<Scene, 'unreachable'>, SmtpServerOptions['script']>> = {
  accepts: {},
  'second-refused': { RCPT: [undefined as never, '550 5.1.1 no such user'] },
  'refuses-all': { RCPT: () => '550 5.1.1 no such user' },
  'not-now': { '.': '451 4.3.0 not now' },
  'silent-after-body': { '.': 'hang' },
};

transportContract('smtp', {
  setup: async (scene) => {
    const script = scene === 'unreachable' ? {} : scripts[scene];
    const { server, transport } = await smtpPair({ script: script ?? {} }, { timeouts: { dataTerminationMs: 200 } });
    if (scene === 'unreachable') await server.stop();
    return { transport, begun: () => server.received.commands.filter((line) => line.startsWith('MAIL')).length };
  },
});

describe('nodemailer, pinned exactly, still', () => {
  it('shows the reply to EHLO when connect() calls back, and its socket', async () => {
    const { server } = await smtpPair({ extensions: ['SIZE 1234', 'SMTPUTF8'] });
    const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
    await new Promise<void>((resolve, reject) => {
      connection.once('error', reject);
      connection.connect((error) => (error === undefined ? resolve() : reject(error)));
    });
    expect(connection.lastServerResponse).toBe('250-scripted.test\n250-SIZE 1234\n250 SMTPUTF8');
    expect(connection._socket).toHaveProperty('remotePort', server.port);
    connection.close();
  });

  it.for([['PIPELINING'], []])(
    'keeps its books in the envelope it is given, with extensions %j',
    async (extensions) => {
      const { server } = await smtpPair({
        extensions,
        script: { RCPT: ({ line }) => (line.includes('bad') ? '550 5.1.1 no' : undefined), '.': '554 5.6.0 no' },
      });
      const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
      await new Promise<void>((resolve) => connection.connect(() => resolve()));
      const books = { from: 'x@example.com', to: ['a@example.net', 'bad@example.net'] } as SMTPConnectionEnvelope;
      const error = await new Promise<Error | null>((resolve) =>
        connection.send(books, 'Subject: x\r\n\r\nx\r\n', (error) => resolve(error)),
      );
      expect(error).toMatchObject({ code: 'EMESSAGE', command: 'DATA', response: '554 5.6.0 no' });
      expect(books.accepted).toEqual(['a@example.net']);
      expect(books.rejectedErrors).toMatchObject([{ recipient: 'bad@example.net', response: '550 5.1.1 no' }]);
      connection.close();
    },
  );

  it('leaves the replies that it has not read in its queue when the server closes', async () => {
    const { server } = await smtpPair({ script: { DATA: '421 4.7.0 enough' } });
    const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
    await new Promise<void>((resolve) => connection.connect(() => resolve()));
    connection.on('error', () => undefined);
    expect(connection).toHaveProperty('_responseQueue', []);
    const error = await new Promise<Error | null>((resolve) =>
      connection.send({ from: 'x@example.com', to: ['a@example.net'] }, 'x\r\n', (error) => resolve(error)),
    );
    const { _responseQueue: unread } = connection as unknown as { _responseQueue: string[] };
    expect([(error as { response?: string }).response, ...unread]).toContain('421 4.7.0 enough');
    connection.close();
  });
});
