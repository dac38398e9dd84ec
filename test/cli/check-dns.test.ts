/** `check --dns` on the command line: what it prints, its JSON and its exit codes. */
import { expect, onTestFinished, test } from 'vitest';
import { startDnsServer } from '../../testkit/dns.ts';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';

test('a domain whose mail is rejected fails the check, with what to do; the file alone is checked without DNS', async () => {
  const dns = await startDnsServer({
    'example.com': [{ txt: 'v=spf1 -all' }],
    '_dmarc.example.com': [{ txt: 'v=DMARC1; p=reject' }],
  });
  onTestFinished(() => dns.stop());
  const server = await startTestServer();
  const graph =
    '{ direction: outgoing, address: a@example.com, graph: { tenantId: t, clientId: c, credential: { clientSecret: s } } }';
  const here = project(server.config(testPrefix(), { graph }));
  const asked = ['check', '--dns', '--dns-server', dns.address];
  const { code, values } = await here.callJson(asked);
  expect(code).toBe(1);
  expect(values[0]).toMatchObject({
    ok: false,
    dns: {
      untested: 0,
      rows: [
        { connector: 'relay', domain: 'example.com', conclusion: 'unknown' },
        { connector: 'graph', domain: 'example.com', ok: false, conclusion: 'fail', dmarc: { policy: 'reject' } },
      ],
    },
  });
  const { stdout } = await here.call(asked);
  expect(stdout).toMatch(/graph +example\.com +fail +missing +reject +rejects it/);
  expect(stdout).toContain('add include:spf.protection.outlook.com');
  expect((await here.callJson(['check'])).values[0]).not.toHaveProperty('dns');
});

test.each(['nowhere:', '192.0.2.1:0', '[::1', 'a b:53'])('--dns-server %s is a mistake in usage', async (value) => {
  const here = project('');
  expect(await here.call(['check', '--dns', '--dns-server', value])).toMatchObject({ code: 2 });
});
