/** `check --connect` asks for the senders of each connector: what it prints, its JSON, its bounds, and the same over HTTP. */
import { expect, test } from 'vitest';
import { graphSection } from '../../testkit/graph/configuration.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { fakeGraph } from '../support/graph-project.ts';
import { testPrefix } from '../support/redis.ts';

const refuseCeo = ({ line }: { readonly line: string }): string | undefined =>
  line.includes('ceo@') ? '550 5.7.60 SMTP; Client does not have permissions to send as this sender' : undefined;

test('a refused sender fails the check, with the missing right and what to do', async () => {
  const server = await startTestServer({ script: { MAIL: refuseCeo } });
  const office = `{ direction: outgoing, addresses: [sales@example.com, ceo@example.com, "*@shop.example.com"], smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`;
  const here = project(server.config(testPrefix(), { office }));
  const { code, values } = await here.callJson(['check', '--connect', '--from', 'anna@shop.example.com']);
  expect(code).toBe(1);
  const [relay, found] = values[0]!['connectors'] as Record<string, unknown>[];
  expect(relay).toMatchObject({
    ok: true,
    senders: { tested: [{ address: 'no-reply@example.com', result: 'ok' }], untested: 0, patterns: ['*'] },
  });
  expect(found).toMatchObject({
    connector: 'office',
    ok: false,
    fault: 'sender',
    code: '550',
    senders: {
      tested: [
        { address: 'anna@shop.example.com', result: 'ok' },
        { address: 'sales@example.com', result: 'ok', right: null },
        { address: 'ceo@example.com', result: 'refused', right: 'Send As', enhancedCode: '5.7.60' },
      ],
      patterns: ['*@shop.example.com'],
    },
  });
  const { stdout } = await here.call(['check', '--connect']);
  expect(stdout).toContain('senders: 2 of 3 ok');
  expect(stdout).toContain('office  ceo@example.com  refused, missing: Send As (550 5.7.60)');
  expect(stdout).toContain('or give ceo@example.com a connector with a login of its own');
  expect(stdout).toContain('office: *@shop.example.com is not tested; --from ADDRESS tests one address');
  expect(server.received.transactions).toEqual([]);
});

test('of a connector with thousands of addresses the first hundred are asked for, and the rest is counted', async () => {
  const server = await startTestServer();
  const addresses = Array.from({ length: 2_000 }, (_, i) => `s${i}@example.com`);
  const many = `{ direction: outgoing, addresses: [${addresses.join(', ')}], smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`;
  const here = project(server.config(testPrefix(), { many }));
  const { code, values } = await here.callJson(['check', '--connect']);
  expect(code).toBe(0);
  const [, found] = values[0]!['connectors'] as { senders: { tested: unknown[]; untested: number } }[];
  expect(found?.senders.tested).toHaveLength(100);
  expect(found?.senders.untested).toBe(1_900);
  expect((await here.call(['check', '--connect'])).stdout).toContain('many: 1900 further addresses were not tested');
});

test('a mailbox of Graph that the application may not use is named, though the login of another works', async () => {
  const addresses = ['sales@example.com', 'ceo@example.com'];
  const graph = await fakeGraph({ mailboxes: addresses });
  Object.assign(graph.mailbox('ceo@example.com').permissions, { send: false });
  const here = project(
    JSON.stringify({
      redis: { prefix: testPrefix() },
      hostname: 'mail.example.com',
      systemDefaultGateway: 'office',
      connectors: { office: { addresses, direction: 'outgoing', graph: graphSection(graph) } },
    }),
  );
  const { code, values, stderr } = await here.callJson(['check', '--connect']);
  expect(stderr).toBe('');
  expect(code).toBe(1);
  expect(values[0]).toMatchObject({
    connectors: [
      {
        ok: false,
        fault: 'sender',
        senders: {
          tested: [
            { address: 'sales@example.com', result: 'ok' },
            { address: 'ceo@example.com', result: 'refused', right: 'Mail.Send', enhancedCode: 'ErrorAccessDenied' },
          ],
        },
      },
    ],
  });
  expect(graph.deliveries).toEqual([]);
});

test('a server that says nothing to a sender costs the time limit and no more', async () => {
  const server = await startTestServer({ script: { MAIL: 'hang' } });
  const here = project(server.config(testPrefix()));
  const { code, values } = await here.callJson(['check', '--connect', '--timeout', '500ms']);
  expect(code).toBe(1);
  expect(values[0]).toMatchObject({
    connectors: [{ ok: false, fault: 'sender', senders: { tested: [{ result: 'unknown', code: 'ETIMEDOUT' }] } }],
  });
});

test('with a return path of its own, the sender that is asked for is that path', async () => {
  const server = await startTestServer();
  const office = `{ direction: outgoing, address: sales@example.com, bouncePath: "bounces+{id}@example.com", smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`;
  const here = project(server.config(testPrefix(), { office }));
  await here.callJson(['check', '--connect']);
  expect(server.received.commands).toContain('MAIL FROM:<bounces+check@example.com>');
  expect(server.received.commands).not.toContain('MAIL FROM:<sales@example.com>');
});

test('--from that is no address is a mistake in usage', async () => {
  const server = await startTestServer();
  const here = project(server.config(testPrefix()));
  expect(await here.call(['check', '--connect', '--from', 'nobody'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('is not an address'),
  });
});
