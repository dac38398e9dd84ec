/** HTTPS: what the certificate of the configuration is, also after it was changed. */
import { request } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { startTestServer } from '../support/cli-config.ts';
import { project } from '../support/cli.ts';
import { testPrefix } from '../support/redis.ts';

async function serialAt(port: number): Promise<string> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test('with `api.tls` the server speaks HTTPS only, and a changed certificate is in force without a restart', async () => {
  const [one, two] = [await createCertificates(new Date()), await createCertificates(new Date())];
  const mail = await startTestServer();
  const section = 'api: { listen: 127.0.0.1:0, tls: { cert: tls.crt, key: tls.key } }';
  const here = project(mail.config(testPrefix(), {}, [section]));
  here.write('tls.crt', one.server.cert);
  here.write('tls.key', one.server.key);
  const serve = await here.serve();
  const port = Number((await serve.logged('serving'))['port']);

  const answered = Promise.withResolvers<number>();
  const options = { port, host: 'localhost', path: '/livez', ca: one.ca, family: 4 };
  request(options, (response) => {
    response.resume();
    answered.resolve(response.statusCode ?? 0);
  })
    .on('error', answered.reject)
    .end();
  expect(await answered.promise).toBe(200);

  const plain = connect(port, '127.0.0.1');
  onTestFinished(() => void plain.destroy());
  plain.on('error', () => undefined);
  let heard = '';
  plain.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')));
  plain.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(plain, 'close');
  expect(heard).not.toContain('200 OK');

  const before = await serialAt(port);
  here.write('tls.crt', two.server.cert);
  here.write('tls.key', two.server.key);
  serve.child.kill('SIGHUP');
  await serve.logged('config-applied');
  expect(await serialAt(port)).not.toBe(before);
  expect(serve.of('restart-needed')).toEqual([]);
  expect(await serve.end()).toBe(0);
});
