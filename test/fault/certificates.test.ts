/** Servers whose certificate is expired, of another name, or of an unknown authority: nothing is said to them until it is mended. */
import { beforeAll, describe, expect, test } from 'vitest';
import { balance, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { doorTo, expectNoneBurned, login, sendThrough, startSender } from '../support/smtp-sender.ts';
import { startSmtpServer, type SmtpServer } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const kinds = ['expired', 'wrongName', 'untrusted'] as const;
const codes = {
  expired: 'CERT_HAS_EXPIRED',
  wrongName: 'ERR_TLS_CERT_ALTNAME_INVALID',
  untrusted: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
} as const;

describe.for(['tls', 'starttls'] as const)('with security %s', (security) => {
  test('a bad certificate is a fault of the connector: no login, no mail, no dead letter; all is sent after the renewal', async () => {
    const prefix = testPrefix();
    const implicitTls = security === 'tls';
    const change = { security, auth: login, tls: { ca: certificates.ca, servername: 'localhost' } };
    const doors = await Promise.all(
      kinds.map((kind) => doorTo(kind.toLowerCase(), { tls: certificates[kind], implicitTls, auth: login }, change)),
    );
    const producer = testProducer(prefix);
    const ids = await sendThrough(producer, doors, 10);
    // A first pause of half a minute is 60 ms here.
    const { of } = await startSender({ prefix, doors, timing: { pauseScale: 0.002 } });
    const faultsOf = (id: string) => of('connector-fault').filter(({ connector }) => connector === id);
    for (const { id } of doors) await until(() => faultsOf(id).length >= 3, { what: `three probes of ${id}` });

    for (const [index, kind] of kinds.entries()) {
      const { id, server } = doors[index]!;
      expect(new Set(faultsOf(id).map(({ fault, code }) => `${fault} ${code}`))).toEqual(
        new Set([`tls ${codes[kind]}`]),
      );
      expect(server.received.transactions).toEqual([]);
      expect(server.received.authAttempts).toEqual([]);
      expect(server.received.commands.filter((line) => !/^(?:EHLO|STARTTLS)/.test(line))).toEqual([]);
    }

    // The administrators renew: the same port, with a good certificate.
    const renewed: SmtpServer[] = [];
    try {
      for (const { server, settings } of doors) {
        await server.stop();
        renewed.push(
          await startSmtpServer({ port: settings.port, tls: certificates.server, implicitTls, auth: login }),
        );
      }
      const rows = await settled(producer, [...ids.values()].flat());
      expect(balance(rows, renewed)).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 30 } });
      expectNoneBurned(rows);
      expect(of('dead')).toEqual([]);
      expect(
        renewed
          .flatMap(({ received }) => received.transactions)
          .every(({ secure, user }) => secure && user === login.user),
      ).toBe(true);
      expect(
        of('connector-recovered')
          .map(({ connector }) => connector)
          .toSorted((a, b) => a.localeCompare(b)),
      ).toEqual(['expired', 'untrusted', 'wrongname']);
    } finally {
      for (const server of renewed) await server.stop();
    }
  });
});
