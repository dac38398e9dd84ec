/** Sessions with Exim: TLS, logins, and sessions that it ends by itself. */
import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import type { EximOptions } from '../../testkit/mailservers/exim.ts';
import type { SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';
import { account, allOnce, settled } from '../support/accounting.ts';
import { expectNoneBurned } from '../support/smtp-sender.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { idsOf, mailFor, startRelay } from './relay.ts';
import { copiesAt, defer, deny, flag, letter, missing, eximWithSink, transportTo } from './support.ts';

if (missing !== null) console.warn(`Exim is not tested: ${missing}`);

const login = { user: 'sales', password: 'right' };

/** An Exim that asks for a login, and a connector that has one. */
async function locked(options: Omit<EximOptions, 'sinkPort' | 'login'> = {}, password = 'right') {
  const file = await flag(password);
  await file.set(true);
  const { server, sink } = await eximWithSink({ ...options, login: { user: login.user, passwordFile: file.path } });
  const change: SmtpSettingsChange = { auth: login, allowInsecureAuth: true };
  return { server, sink, file, relay: { id: 'relay', port: server.port, change } };
}

describe.skipIf(missing !== null)('Exim', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await createCertificates();
  });

  test('a certificate that is good is accepted, and the message arrives over TLS', async () => {
    const { server, sink } = await eximWithSink({ tls: certificates.server });
    const change: SmtpSettingsChange = { security: 'starttls', tls: { ca: certificates.ca, servername: 'localhost' } };
    expect(summary(await sendBy(transportTo(server, change), mailOf({ bytes: letter('tls') })))).toBe('accepted');
    await copiesAt(sink, 1);
    expect(await server.logged('P=esmtps')).toBe(1);
  });

  test.for([
    ['expired', 'expired', /expired/],
    ['of an unknown authority', 'untrusted', /issuer|self-signed|unable to (?:get|verify)/],
    ['for another name', 'wrongName', /other\.example/],
    ['for its common name only', 'commonNameOnly', /localhost/],
  ] as const)('a certificate %s is a fault `tls` that says so, and nothing is sent', async ([, which, says]) => {
    const { server, sink } = await eximWithSink({ tls: certificates[which] });
    const change: SmtpSettingsChange = { security: 'starttls', tls: { ca: certificates.ca, servername: 'localhost' } };
    const outcome = await sendBy(transportTo(server, change), mailOf({ bytes: letter('tls') }));
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'tls' });
    expect(JSON.stringify(outcome)).toMatch(says);
    expect(sink.received.transactions).toEqual([]);
    expect(await server.logged('<=')).toBe(0);
  });

  test('a wrong password holds mail without attempts, and all of it is sent once the password is mended', async () => {
    const { sink, file, relay } = await locked({}, 'another');
    const { producer, worker } = await startRelay([relay], { pauseScale: 0.01 });
    const messages = mailFor('relay', 30);
    await producer.sendMany(messages);
    await until(() => worker.of('connector-fault').length >= 2, { what: 'two refused logins' });
    expect(new Set(worker.of('connector-fault').map(({ fault }) => fault))).toEqual(new Set(['auth']));
    await writeFile(file.path, login.password);
    const rows = await settled(producer, idsOf(messages));
    await copiesAt(sink, 30);
    expect(account(rows, [sink])).toEqual(allOnce(30));
    expectNoneBurned(rows);
  });

  test.for([
    ['550 Too many messages. Try again in 92 seconds', 'throttled', 92_000],
    ['535 5.7.0 authenticate too many times', 'throttled', undefined],
    ['451 Authentication failed: Maximum credits exceeded', 'quota', undefined],
  ] as const)(
    'a login refused with "%s" is a fault `%s`, with the time that it names',
    async ([answer, fault, pauseMs]) => {
      const refuse = answer.startsWith('4') ? defer : deny;
      const { server, sink, relay } = await locked({ auth: refuse('condition = true', answer) });
      const outcome = await sendBy(transportTo(server, relay.change), mailOf({ bytes: letter('login') }));
      expect(outcome).toMatchObject({ kind: 'connector-fault', fault });
      expect(outcome.kind === 'connector-fault' ? outcome.pauseMs : null).toBe(pauseMs);
      expect(sink.received.transactions).toEqual([]);
    },
  );

  test('sessions that it ends for their idleness (smtp_receive_timeout) cost no message an attempt, and no fault', async () => {
    const { server, sink } = await eximWithSink({ settings: ['smtp_receive_timeout = 1s'] });
    // One session at a time, so that each round ends one.
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }], { concurrency: 1 });
    const messages = mailFor('relay', 15);
    for (let round = 0; round < 3; round += 1) {
      const some = messages.slice(round * 5, round * 5 + 5);
      await producer.sendMany(some);
      await settled(producer, idsOf(some));
      await until(async () => (await server.logged('SMTP command timeout')) > round, { what: 'the end of a session' });
    }
    const rows = await settled(producer, idsOf(messages));
    await copiesAt(sink, 15);
    expect(account(rows, [sink])).toEqual(allOnce(15));
    expectNoneBurned(rows);
    expect(worker.of('connector-fault')).toEqual([]);
  });

  test('25 MB over its SIZE limit are a dead letter `too-large` that was never sent, and mail behind it goes on', async () => {
    const { server, sink } = await eximWithSink({ settings: ['message_size_limit = 10M'] });
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
    const [large, ...others] = mailFor('relay', 11);
    const content = Buffer.alloc(17 * 1024 * 1024, 'postlane ').toString('base64');
    const attachments = [{ filename: 'a.bin', content, encoding: 'base64' as const }];
    await producer.send({ ...large!, attachments });
    await producer.sendMany(others);
    const [dead] = await settled(producer, idsOf([large!]));
    expect(dead).toMatchObject({ state: 'dead', reason: 'too-large', attempts: 1 });
    const rows = await settled(producer, idsOf(others));
    await copiesAt(sink, 10);
    expect(account(rows, [sink])).toEqual(allOnce(10));
    expect(worker.of('connector-fault')).toEqual([]);
    expect(await server.logged('<=')).toBe(10);
  });

  test('of 100 recipients with mixed replies each has its own, and those who are accepted have one copy', async () => {
    const rcpt = [
      ...deny('domains = refused.test', '550 5.1.1 no such user'),
      ...defer('domains = later.test', '450 4.2.1 try again later'),
      ...deny('domains = relay.test', '550 5.7.1 relay not permitted'),
    ];
    const { server, sink } = await eximWithSink({ rcpt });
    const domains = ['example.net', 'refused.test', 'later.test', 'relay.test', 'example.net'];
    const to = Array.from({ length: 100 }, (_, at) => `user${at}@${domains[at % 5]}`);
    const outcomes = summary(await sendBy(transportTo(server), mailOf({ to, bytes: letter('mixed') }))).split(' ');
    const expected = ['accepted', 'rejected', 'deferred', 'rejected', 'accepted'];
    expect(outcomes).toEqual(to.map((_, at) => expected[at % 5]));
    const copies = await copiesAt(sink, 40);
    expect([copies.size, new Set(copies.values())]).toEqual([40, new Set([1])]);
  });
});
