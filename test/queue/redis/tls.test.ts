/** Redis over TLS: certificates are verified, against private CAs too, and a wrong one is refused in words. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createAuthority, localNames } from '../../../testkit/certificates.ts';
import { startPrivateRedis } from '../../../testkit/redis.ts';
import { cliConfigOver } from '../../support/cli-config.ts';
import { project } from '../../support/cli.ts';
import { testProducer } from '../../support/postlane.ts';
import { freePort } from '../../../testkit/ports.ts';
import { journey, untroubled } from '../../support/redis-journey.ts';

const dayMs = 86_400_000;

/** A server that takes TLS, and asks for a certificate of the client if told to. */
async function tlsServer(askForCertificate: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const now = new Date();
  const [authority, stranger] = await Promise.all([createAuthority('ours', now), createAuthority('strange', now)]);
  const life = { notBefore: new Date(now.getTime() - dayMs), notAfter: new Date(now.getTime() + dayMs) };
  const pair = await authority.sign({ commonName: 'localhost', names: localNames, ...life });
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const tlsPort = await freePort();
  const server = await startPrivateRedis({
    settings: [
      ['--tls-port', `${tlsPort}`],
      ['--tls-ca-cert-file', write('ca.pem', authority.ca)],
      ['--tls-cert-file', write('server.pem', pair.cert)],
      ['--tls-key-file', write('server.key', pair.key)],
      ['--tls-auth-clients', askForCertificate ? 'yes' : 'no'],
    ].flat(),
  });
  onTestFinished(() => server.stop());
  return { url: `rediss://127.0.0.1:${tlsPort}`, ca: authority.ca, wrongCa: stranger.ca, folder, ...pair };
}

const message = { id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x' };

test('a private CA is trusted where it is named, for everything', async () => {
  const { url, ca } = await tlsServer(false);
  const redis = { url, tls: { ca } };
  expect(await journey({ prefix: '{postlane}', producer: redis, worker: redis, operator: redis })).toEqual(untroubled);
});

test('a server of another CA, or of none that is known, is refused in words', async () => {
  const { url, wrongCa } = await tlsServer(false);
  for (const redis of [{ url, tls: { ca: wrongCa } }, { url }]) {
    const producer = testProducer('{p}', { redis, timeoutMs: 500 });
    await expect(producer.send(message)).rejects.toMatchObject({
      code: 'redis-unavailable',
      message: expect.stringMatching(/self-signed certificate|unable to verify/),
    });
  }
});

test('a server that asks for a certificate gets the one that is configured', async () => {
  const { url, ca, cert, key } = await tlsServer(true);
  const producer = testProducer('{p}', { redis: { url, tls: { ca, cert, key } } });
  expect(await producer.send(message)).toEqual({ id: 'm', duplicate: false });
  const without = testProducer('{p}', { redis: { url, tls: { ca } }, timeoutMs: 500 });
  await expect(without.send(message)).rejects.toMatchObject({ code: 'redis-unavailable' });
});

test('the configuration names files of the CA and the certificate, and `check --connect` says what is wrong', async () => {
  const { url, ca, wrongCa, cert, key } = await tlsServer(true);
  const here = project(cliConfigOver(`{ url: "${url}", tls: { ca: ca.pem, cert: own.pem, key: own.key } }`));
  here.write('ca.pem', ca);
  here.write('own.pem', cert);
  here.write('own.key', key);
  const env = { REDIS_URL: '' };
  const good = await here.callJson(['check', '--connect'], { env });
  expect(good.values).toMatchObject([{ redis: { ok: true, detail: 'reached' } }]);
  here.write('ca.pem', wrongCa);
  const bad = await here.callJson(['check', '--connect'], { env });
  expect(bad.values).toMatchObject([{ redis: { ok: false, detail: expect.stringMatching(/certificate/) } }]);
});
