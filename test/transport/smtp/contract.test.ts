/** The SMTP transport keeps the contract, against a scripted server, and nodemailer still does what the session relies on. */
import type net from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { describe, expect, test } from 'vitest';
import { transportContract, type ContractScene } from '../../../src/testing.ts';
import { createCertificates } from '../../../testkit/certificates.ts';
import { smtpPair } from '../../support/smtp-client.ts';
import type { SmtpServerOptions } from '../../../testkit/smtp/server.ts';

const scripts: Readonly<Record<Exclude<ContractScene, 'unreachable'>, SmtpServerOptions['script']>> = {
  accepts: {},
  'second-refused': { RCPT: [undefined as never, '550 5.1.1 no such user'] },
  'refuses-all': { RCPT: () => '550 5.1.1 no such user' },
  'not-now': { '.': '451 4.3.0 not now' },
  'silent-after-body': { '.': 'hang' },
};

transportContract(
  'smtp',
  async (scene) => {
    const script = scene === 'unreachable' ? {} : scripts[scene];
    const { server, transport } = await smtpPair({ script: script ?? {} }, { timeouts: { dataTerminationMs: 200 } });
    if (scene === 'unreachable') await server.stop();
    return { transport, begun: () => server.received.commands.filter((line) => line.startsWith('MAIL')).length };
  },
  { harness: { describe, test } },
);

describe('nodemailer, pinned exactly, still', () => {
  test('exposes the reply to EHLO and its socket when connect() calls back', async () => {
    const { server } = await smtpPair({ extensions: ['SIZE 1234', 'SMTPUTF8'] });
    const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
    await connected(connection);
    expect(connection.lastServerResponse).toBe('250-scripted.test\n250-SIZE 1234\n250 SMTPUTF8');
    expect(connection._socket).toHaveProperty('remotePort', server.port);
    connection.close();
  });

  test('reads what to do with data from a property, before and after STARTTLS', async () => {
    const { server } = await smtpPair({ tls: (await createCertificates()).server });
    const connection = new SMTPConnection({
      host: '127.0.0.1',
      port: server.port,
      requireTLS: true,
      tls: { rejectUnauthorized: false },
    });
    const inner = connection as unknown as { _onSocketData: (chunk: Buffer) => void };
    const pass = inner._onSocketData;
    const seen: string[] = [];
    inner._onSocketData = (chunk) => {
      seen.push(chunk.toString('latin1').slice(0, 3));
      pass(chunk);
    };
    await connected(connection);
    expect(seen).toEqual(['220', '250', '220', '250']);
    expect((connection._socket as net.Socket).listeners('data')).toContain(inner._onSocketData);
    connection.close();
  });

  test('says that it upgrades when a TLS handshake fails, and not when the greeting does', async () => {
    const found: unknown[] = [];
    for (const options of [{ tls: (await createCertificates()).server }, { script: { CONNECT: '554 no' } }]) {
      const { server } = await smtpPair(options);
      const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, requireTLS: true });
      connection.on('error', () => found.push(connection.upgrading === true));
      await connected(connection).catch(() => undefined);
      connection.close();
    }
    expect(found).toEqual([true, false]);
  });

  test('releases its socket when its listeners are removed', async () => {
    const { server } = await smtpPair();
    const connection = new SMTPConnection({ host: '127.0.0.1', port: server.port, ignoreTLS: true });
    await connected(connection);
    const socket = connection._socket as net.Socket;
    const inner = connection as unknown as Record<string, () => void>;
    for (const event of ['data', 'timeout', 'error', 'close', 'end']) {
      const own = inner[`_onSocket${event[0]?.toUpperCase()}${event.slice(1)}`];
      expect([event, own === undefined ? null : socket.listeners(event).some((one) => isListener(one, own))]).toEqual([
        event,
        true,
      ]);
    }
    socket.destroy();
  });
});

function connected(connection: SMTPConnection): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.on('error', reject);
    connection.connect((error) => (error === undefined ? resolve() : reject(error)));
  });
}

/** Those added by once() are wrapped. */
function isListener(listener: unknown, own: unknown): boolean {
  return listener === own || (listener as { listener?: unknown }).listener === own;
}
