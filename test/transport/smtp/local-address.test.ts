/** `smtp.localAddress`: from where a connector connects. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { dial } from '../../../src/transport/smtp/dial.ts';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import { smtpSettings } from '../../../testkit/smtp/settings.ts';
import { startSmtpServer } from '../../../testkit/smtp/server.ts';
import { goodConfig, onlyIssue, withConnector } from '../../config/load-text.ts';

const { signal } = new AbortController();

test('connections come from that address, also where the name of the server has addresses of both families', async () => {
  const server = createServer();
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const [host, localAddress, expected] of [
    ['127.0.0.1', '127.0.0.2', '127.0.0.2'],
    ['localhost', '127.0.0.3', '127.0.0.3'],
    ['127.0.0.1', null, '127.0.0.1'],
  ] as const) {
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const socket = await dial({ ...smtpSettings(port), host, localAddress }, signal);
    const [peer] = await accepted;
    expect(peer.remoteAddress).toBe(expected);
    socket.destroy();
    peer.destroy();
  }
});

test('an address that is none of this machine is a fault of the connector that names the setting', async () => {
  const server = await startSmtpServer({});
  onTestFinished(() => server.stop());
  const settings = { ...smtpSettings(server.port), localAddress: '192.0.2.1' };
  const transport = createSmtpTransport({ settings, hostname: 'test.example', maxConnections: 1 });
  onTestFinished(() => transport.close());
  const checked = await transport.check(signal);
  expect(checked).toMatchObject({ ok: false, fault: 'unreachable', reply: { code: 'EADDRNOTAVAIL' } });
  expect(JSON.stringify(checked)).toContain('192.0.2.1 is no address of this machine (smtp.localAddress)');
});

test('`check` says from where it connects', async () => {
  const server = await startSmtpServer({});
  onTestFinished(() => server.stop());
  const settings = { ...smtpSettings(server.port), localAddress: '127.0.0.2' };
  const transport = createSmtpTransport({ settings, hostname: 'test.example', maxConnections: 1 });
  onTestFinished(() => transport.close());
  const checked = await transport.check(signal);
  expect(checked.ok && checked.detail).toContain('from 127.0.0.2');
});

test.each(['localhost', '127.0.0', '192.0.2.1/24', '"fe80::1%eth0"'])('%s is refused', async (written) => {
  const text = withConnector(`direction: outgoing\nsmtp: { host: a.example, localAddress: ${written} }`);
  expect((await onlyIssue(text)).rule).toBe('ip-address');
});

test('it reaches the settings, and is absent by default', async () => {
  const settingsOf = async (more: string) =>
    (await goodConfig(withConnector(`direction: outgoing\nsmtp: { host: a.example${more} }`))).connectors[0]!.transport;
  expect(await settingsOf(', localAddress: "::1"')).toMatchObject({ smtp: { localAddress: '::1' } });
  expect(await settingsOf('')).toMatchObject({ smtp: { localAddress: null } });
});
