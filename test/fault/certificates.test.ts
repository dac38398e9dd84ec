/** Servers whose certificate has expired, names another host, or is of an unknown authority: they get nothing until it is renewed. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, settled } from '../support/accounting.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  expectNoneBurned,
  login,
  sendThrough,
  serverFor,
  startSender,
  testCertificates,
} from '../support/smtp-sender.ts';
import { startSmtpServer, type SmtpServer } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';

const codes = {
  expired: 'CERT_HAS_EXPIRED',
  wrongName: 'ERR_TLS_CERT_ALTNAME_INVALID',
  untrusted: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
} as const;
const kinds = ['expired', 'wrongName', 'untrusted'] as const;

test.for(['tls', 'starttls'] as const)(
  'with security %s a bad certificate is a connector fault: no login, no message, and everything is sent after the renewal',
  async (security) => {
    const prefix = testPrefix();
    const certificates = await testCertificates();
    const implicitTls = security === 'tls';
    const change = { security, auth: login, tls: { ca: certificates.ca, servername: 'localhost' } };
    const servers = await Promise.all(
      kinds.map((kind) => serverFor(kind.toLowerCase(), { tls: certificates[kind], implicitTls, auth: login }, change)),
    );
    const producer = testProducer(prefix);
    const ids = await sendThrough(producer, servers, 10);
    // A first pause of half a minute is 60 ms here.
    const { of } = await startSender({ prefix, servers, timing: { pauseScale: 0.002 } });
    const faultsOf = (id: string) => of('connector-fault').filter(({ connector }) => connector === id);
    for (const { id } of servers) await until(() => faultsOf(id).length >= 3, { what: `three probes of ${id}` });

    for (const [index, kind] of kinds.entries()) {
      const { id, received } = servers[index]!;
      const faults = faultsOf(id).map(({ fault, code }) => `${fault} ${code}`);
      expect(new Set(faults)).toEqual(new Set([`tls ${codes[kind]}`]));
      expect(received.transactions).toEqual([]);
      expect(received.authAttempts).toEqual([]);
      expect(received.commands.filter((line) => !/^(?:EHLO|STARTTLS)/.test(line))).toEqual([]);
    }

    // The administrators renew: the same port, with a good certificate.
    const renewed: SmtpServer[] = [];
    for (const server of servers) {
      await server.stop();
      const port = server.settings.port;
      const next = await startSmtpServer({ port, tls: certificates.server, implicitTls, auth: login });
      onTestFinished(() => next.stop());
      renewed.push(next);
    }
    const rows = await settled(producer, [...ids.values()].flat());
    expect(account(rows, renewed)).toEqual(allOnce(30));
    expectNoneBurned(rows);
    expect(of('dead')).toEqual([]);
    const sessions = renewed.flatMap(({ received }) => received.transactions);
    expect(sessions.filter(({ secure, user }) => !secure || user !== login.user)).toEqual([]);
    const recovered = of('connector-recovered').map(({ connector }) => connector);
    expect(recovered.toSorted((a, b) => a.localeCompare(b))).toEqual(['expired', 'untrusted', 'wrongname']);
  },
);
