/** The SMTP transport against a real Postfix: a gateway without login, submission with STARTTLS and login, implicit TLS with login. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { SmtpSettings } from '../../src/transport/smtp/settings.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { SenderCheck, Transport } from '../../src/transport/transport.ts';
import { createCertificates } from '../../testkit/certificates.ts';
import { login, postfixRelayMissing, startPostfixRelay, type PostfixRelay } from '../../testkit/postfix-relay.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';

const missing = postfixRelayMissing();
if (missing !== null) console.warn(`Postfix is not tested: ${missing}`);

type Listener = keyof PostfixRelay['ports'];

describe.skipIf(missing !== null)('Postfix', () => {
  let postfix: PostfixRelay;
  let ca: string;
  beforeAll(async () => {
    const certificates = await createCertificates();
    ca = certificates.ca;
    postfix = await startPostfixRelay(certificates.server);
  });
  afterAll(() => postfix?.stop());

  function transportTo(listener: Listener, change: Partial<Omit<SmtpSettings, 'timeouts'>> = {}): Transport {
    const security = { gateway: 'none', submission: 'starttls', smtps: 'tls' } as const;
    const transport = createSmtpTransport({
      settings: smtpSettings(postfix.ports[listener], {
        host: 'localhost',
        security: security[listener],
        auth: listener === 'gateway' ? null : login,
        tls: { ca, servername: null },
        ...change,
      }),
      hostname: 'client.test',
      maxConnections: 3,
    });
    onTestFinished(() => transport.close());
    return transport;
  }

  /** The message as Postfix handed it on, without the Received fields that Postfix added on top. */
  async function arrived(subject: string): Promise<{ bytes: string; from: string; to: readonly string[] }> {
    const found = await until(
      () => postfix.sink.received.transactions.find(({ bytes }) => bytes.includes(`Subject: ${subject}\r\n`)),
      { what: `${subject} to arrive` },
    );
    const bytes = found.bytes.toString('latin1').replace(/^(?:Received:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*)+/, '');
    return { bytes, from: found.from, to: found.to };
  }

  const listeners: Listener[] = ['gateway', 'submission', 'smtps'];

  test.for(listeners)('Postfix takes a message at its %s listener and hands it on byte for byte', async (listener) => {
    const subject = `by ${listener}`;
    const body = `.dot\r\n..two\r\n\r\n${'0123456789'.repeat(7)}\r\n`.repeat(2_000);
    const head = `From: sales@example.com\r\nTo: a@example.net\r\nMessage-ID: <${listener}@example.com>\r\n`;
    const bytes = Buffer.from(`${head}Date: Sun, 22 Nov 2026 12:00:00 +0000\r\nSubject: ${subject}\r\n\r\n${body}`);
    const to = ['a@example.net', 'b@example.net'];
    expect(summary(await sendBy(transportTo(listener), mailOf({ bytes, to })))).toBe('accepted accepted');
    expect(await arrived(subject)).toEqual({ bytes: bytes.toString('latin1'), from: 'sales@example.com', to });
  });

  test.for<[Listener, RegExp]>([
    ['gateway', /not encrypted, without authentication/],
    ['submission', /STARTTLS \(TLSv1\.3\), authenticated as relay/],
    ['smtps', /TLS \(TLSv1\.3\), authenticated as relay/],
  ])('check() reports encryption, login and size limit of the %s listener', async ([listener, expected]) => {
    const check = await transportTo(listener).check(new AbortController().signal);
    expect(check).toMatchObject({ ok: true, detail: expect.stringMatching(expected) });
    expect(check).toMatchObject({ detail: expect.stringContaining('SIZE 4 MB') });
  });

  test('a sender that the login does not own is found out without a message, and so is one that it owns', async () => {
    const told: SenderCheck[] = [];
    const senders = ['sales@example.com', 'ceo@example.com', 'sales@example.com'];
    await transportTo('submission').trySenders?.(senders, new AbortController().signal, (check) => told.push(check));
    expect(told.map(({ address, result, right }) => [address, result, right])).toEqual([
      ['sales@example.com', 'ok', null],
      ['ceo@example.com', 'refused', 'Send As'],
      ['sales@example.com', 'ok', null],
    ]);
    expect(told[1]?.reply).toMatchObject({ code: '553', text: expect.stringContaining('not owned by user relay') });
    expect(told[1]?.advice).toContain('let the account relay send as ceo@example.com');
  });

  test('many refused senders are found out before Postfix delays its replies or ends the session', async () => {
    const startedAt = performance.now();
    const told: SenderCheck[] = [];
    const senders = [...Array.from({ length: 24 }, () => 'ceo@example.com'), 'sales@example.com'];
    await transportTo('submission').trySenders?.(senders, new AbortController().signal, (check) => told.push(check));
    expect(new Set(told.slice(0, 24).map(({ result }) => result))).toEqual(new Set(['refused']));
    expect(told.at(-1)).toMatchObject({ address: 'sales@example.com', result: 'ok' });
    // With the delays it takes half a minute.
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  });

  test('one recipient is delivered, one is rejected and one is deferred in the same transaction', async () => {
    const bytes = Buffer.from('Subject: sorted\r\n\r\nx\r\n');
    const to = ['gone@example.net', 'a@example.net', 'later@example.net'];
    const outcome = await sendBy(transportTo('gateway'), mailOf({ bytes, to }));
    expect(summary(outcome)).toBe('rejected accepted deferred');
    expect((await arrived('sorted')).to).toEqual(['a@example.net']);
  });

  test('thirty messages at once go out over at most three connections', async () => {
    const transport = transportTo('submission');
    const sends = Array.from({ length: 30 }, (_, index) =>
      sendBy(transport, mailOf({ bytes: Buffer.from(`Subject: many ${index}\r\n\r\nx\r\n`) })),
    );
    expect(new Set((await Promise.all(sends)).map(summary))).toEqual(new Set(['accepted']));
    await arrived('many 29');
  });

  test('a wrong password is a fault of the connector', async () => {
    const auth = { ...login, password: 'wrong' };
    expect(await sendBy(transportTo('submission', { auth }), mailOf())).toMatchObject({
      kind: 'connector-fault',
      fault: 'auth',
      reply: { code: '535', enhancedCode: '5.7.8' },
    });
  });

  test('a login that may not send as the From address gets a rejection that names both', async () => {
    expect(await sendBy(transportTo('smtps'), mailOf({ from: 'ceo@example.com' }))).toMatchObject({
      recipients: [
        {
          outcome: 'rejected',
          scope: 'message',
          reply: { text: expect.stringContaining('the account relay may not send as ceo@example.com') },
        },
      ],
    });
  });

  test('submission without a login is a configuration fault', async () => {
    expect(summary(await sendBy(transportTo('submission', { auth: null }), mailOf()))).toBe('suspect config');
  });

  test('a server whose CA is not trusted gets no message', async () => {
    const transport = transportTo('smtps', { tls: { ca: null, servername: null } });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault tls');
  });

  test('a message above the announced SIZE is rejected as too large', async () => {
    const bytes = Buffer.from(`Subject: large\r\n\r\n${'x'.repeat(78)}\r\n`.repeat(60_000));
    const outcome = await sendBy(transportTo('gateway'), mailOf({ bytes }));
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'rejected', tooLarge: true }] });
  });

  test('a local part beyond ASCII and an 8-bit body arrive unchanged', async () => {
    const type = 'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit';
    const bytes = Buffer.from(`Subject: utf8\r\n${type}\r\n\r\nGrüße\r\n`);
    const to = ['jürgen@example.net'];
    expect(summary(await sendBy(transportTo('gateway'), mailOf({ bytes, to })))).toBe('accepted');
    const mail = await arrived('utf8');
    expect(mail.to).toEqual(to);
    expect(mail.bytes).toContain(Buffer.from('Grüße').toString('latin1'));
  });
});
