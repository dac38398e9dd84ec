/** `check --connect` of a connector with several hosts: each is tried and named; one that works is enough, and one that fails is a warning. */
import { expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';
import { startSmtpServer } from '../../testkit/smtp/server.ts';

const secret = 'hunter22';

async function closedPort(): Promise<number> {
  const server = await startSmtpServer();
  await server.stop();
  return server.port;
}

/** A configuration whose connector `office` has these ports as its hosts, beside a gateway that works. */
async function office(ports: readonly number[], more = '') {
  const gateway = await startTestServer();
  const hosts = ports.map((port) => `{ host: 127.0.0.1, port: ${port} }`).join(', ');
  const text = `{ direction: outgoing, addresses: [sales@example.com, ceo@example.com], smtp: { hosts: [${hosts}], security: none${more} } }`;
  const here = project(gateway.config(testPrefix(), { office: text }));
  return {
    text: () => here.call(['check', '--connect']),
    check: async (args: readonly string[] = []) => {
      const { code, values } = await here.callJson(['check', '--connect', ...args]);
      const [, row] = values[0]!['connectors'] as [object, object];
      return { code, row };
    },
  };
}

const refuseCeo = ({ line }: { readonly line: string }): string | undefined =>
  line.includes('ceo@') ? '550 5.7.60 SMTP; Client does not have permissions to send as this sender' : undefined;

test('one host that works is enough; the one that fails is named, as a warning', async () => {
  const [good, port] = [await startTestServer(), await closedPort()];
  const { check, text } = await office([port, good.port]);
  const { code, row } = await check();
  expect(code).toBe(0);
  expect(row).toMatchObject({
    ok: true,
    fault: null,
    hosts: [
      { host: `127.0.0.1:${port}`, ok: false, fault: 'unreachable', code: 'ECONNREFUSED', senders: null },
      {
        host: `127.0.0.1:${good.port}`,
        ok: true,
        fault: null,
        senders: { tested: [{ result: 'ok' }, { result: 'ok' }] },
      },
    ],
    senders: {
      tested: [
        { address: 'sales@example.com', result: 'ok' },
        { address: 'ceo@example.com', result: 'ok' },
      ],
    },
  });
  const { stdout, code: exit } = await text();
  expect(exit).toBe(0);
  expect(stdout).toMatch(/^office +smtp +warning .* 1 of 2 hosts fails: 127\.0\.0\.1:\d+ \(unreachable\)$/m);
  expect(stdout).toMatch(new RegExp(`^office at 127\\.0\\.0\\.1:${port} +smtp +unreachable `, 'm'));
  expect(stdout).toMatch(new RegExp(`^office at 127\\.0\\.0\\.1:${good.port} +smtp +ok `, 'm'));
  expect(stdout).toContain('senders: 3 of 3 ok');
});

test('where no host can be reached, the check fails, with the first fault and all hosts', async () => {
  const ports = [await closedPort(), await closedPort()];
  const { code, row } = await (await office(ports)).check();
  expect(code).toBe(1);
  expect(row).toMatchObject({
    ok: false,
    fault: 'unreachable',
    code: 'ECONNREFUSED',
    senders: null,
    hosts: ports.map((port) => ({ host: `127.0.0.1:${port}`, ok: false })),
  });
});

test('a sender that one host refuses is a warning, and that all refuse, a failure', async () => {
  const [good, bad] = [await startTestServer(), await startTestServer({ script: { MAIL: refuseCeo } })];
  const one = await office([bad.port, good.port]);
  const { code, row } = await one.check();
  expect(code).toBe(0);
  expect(row).toMatchObject({
    ok: true,
    hosts: [{ ok: false, fault: 'sender', code: '550' }, { ok: true }],
    senders: { tested: [{ result: 'ok' }, { address: 'ceo@example.com', result: 'ok' }] },
  });
  const { stdout } = await one.text();
  expect(stdout).toMatch(/^office +smtp +warning /m);
  expect(stdout).toContain(`office at 127.0.0.1:${bad.port}  ceo@example.com  refused, missing: Send As (550 5.7.60)`);
  expect(stdout).toContain('senders: 3 of 3 ok');
  const both = await (await office([bad.port, (await startTestServer({ script: { MAIL: refuseCeo } })).port])).check();
  expect(both.code).toBe(1);
  expect(both.row).toMatchObject({
    ok: false,
    fault: 'sender',
    senders: { tested: [{ result: 'ok' }, { result: 'refused', right: 'Send As' }] },
  });
});

test('a wrong password is tried at one host, so that the check locks no account', async () => {
  const auth = { user: 'relay', password: 'right' };
  const servers = [await startTestServer({ auth }), await startTestServer({ auth }), await startTestServer({ auth })];
  const more = `, auth: { user: relay, password: ${secret} }, allowInsecureAuth: true`;
  const { check } = await office([await closedPort(), ...servers.map(({ port }) => port)], more);
  const { code, row } = await check();
  expect(code).toBe(1);
  expect(row).toMatchObject({ ok: false, fault: 'auth' });
  expect(row).toMatchObject({
    hosts: [
      { fault: 'unreachable' },
      { fault: 'auth' },
      { fault: 'auth', detail: expect.stringContaining('not tried') },
      { fault: 'auth' },
    ],
  });
  expect(servers.map(({ received }) => received.authAttempts.length)).toEqual([1, 0, 0]);
  expect(JSON.stringify(row)).not.toContain(secret);
});

test('a host that says nothing costs its own time, and the next one is tried', async () => {
  const [silent, good] = [await startTestServer({ script: { CONNECT: 'hang' } }), await startTestServer()];
  const { code, row } = await (await office([silent.port, good.port])).check(['--timeout', '700ms']);
  expect(code).toBe(0);
  expect(row).toMatchObject({ ok: true, hosts: [{ ok: false, code: 'ETIMEDOUT' }, { ok: true }] });
});
