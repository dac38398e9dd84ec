/** The proxy of a connector on the command line: `check`, `explain` and `connectors` show it, and never the login. */
import { expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { testPrefix } from '../support/redis.ts';
import { scriptedProxy } from '../support/scripted-proxy.ts';

const secret = 'hunter2';

test('check, explain and connectors name the proxy of the environment, and the connector that does not use it', async () => {
  const server = await startTestServer();
  const others = { direct: '{ direction: outgoing, address: d@example.com, smtp: { host: a.example }, proxy: none }' };
  const away = '{ direction: outgoing, address: s@example.com, smtp: { host: a.example } }';
  const here = project(server.config(testPrefix(), { ...others, away }));
  const env = { https_proxy: `http://user:${secret}@proxy.example.com:3128` };
  const name = 'http://proxy.example.com:3128';
  const check = await here.call(['check'], { env });
  expect(check.stdout).toContain(`through the proxy ${name}: away\n`);
  const json = await here.callJson(['check'], { env });
  expect(json.values).toMatchObject([{ ok: true, proxies: [{ proxy: name, connectors: ['away'] }] }]);
  const explain = await here.call(['explain', 's@example.com'], { env });
  expect(explain.stdout).toContain(`it goes through the proxy ${name}`);
  expect((await here.callJson(['explain', 'd@example.com'], { env })).values).toMatchObject([{ proxy: null }]);
  const rows = await here.callJson(['connectors'], { env });
  expect(rows.values.map(({ id, proxy }) => [id, proxy])).toEqual([
    ['relay', null],
    ['direct', null],
    ['away', name],
  ]);
  const table = await here.call(['connectors'], { env });
  expect(table.stdout).toMatch(new RegExp(`away +outgoing +smtp via ${name} `));
  expect(JSON.stringify([check, json, explain, rows, table])).not.toContain(secret);
});

test('NO_PROXY is asked for each host of a connector, and every view names the hosts that are reached directly', async () => {
  const server = await startTestServer();
  const mixed =
    '{ direction: outgoing, address: m@example.com, smtp: { hosts: [{ host: b.internal.example, port: 25 }, { host: a.example, port: 25 }] } }';
  const inside =
    '{ direction: outgoing, address: i@example.com, smtp: { hosts: [{ host: b.internal.example }, { host: c.internal.example }] } }';
  const here = project(server.config(testPrefix(), { mixed, inside }));
  const env = { https_proxy: 'http://proxy.example.com:3128', no_proxy: 'internal.example' };
  const proxy = 'http://proxy.example.com:3128';
  const check = await here.call(['check'], { env });
  expect(check.stdout).toContain(`through the proxy ${proxy}: mixed (but not for b.internal.example:25)\n`);
  const explain = await here.call(['explain', 'm@example.com'], { env });
  expect(explain.stdout).toContain(`it goes through the proxy ${proxy} (but not for b.internal.example:25).`);
  const way = { proxy, directHosts: ['b.internal.example:25'] };
  expect((await here.callJson(['explain', 'm@example.com'], { env })).values).toMatchObject([way]);
  const direct = { proxy: null, directHosts: [] };
  expect((await here.callJson(['explain', 'i@example.com'], { env })).values).toMatchObject([direct]);
  const rows = (await here.callJson(['connectors'], { env })).values;
  expect(rows).toMatchObject([
    { id: 'relay', ...direct },
    { id: 'mixed', ...way },
    { id: 'inside', ...direct },
  ]);
  expect((await here.call(['connectors'], { env })).stdout).toMatch(
    /mixed +outgoing +smtp via http:\/\/proxy\.example\.com:3128 \(but not for b\.internal\.example:25\)/,
  );
});

test('check says that webhooks do not use the proxy that connectors use', async () => {
  const server = await startTestServer();
  const away = '{ direction: outgoing, address: s@example.com, smtp: { host: a.example } }';
  const hooks = [
    'webhooks: [{ id: crm, url: "https://crm.example.com/hooks", secret: "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" }]',
  ];
  const here = project(server.config(testPrefix(), { away }, hooks));
  const line = 'not through a proxy: the webhook crm\n';
  expect((await here.call(['check'], { env: { https_proxy: 'http://proxy.example.com:3128' } })).stdout).toContain(
    line,
  );
  expect((await here.call(['check'])).stdout).not.toContain(line);
});

test('check --connect says which proxy fails, and how; a variable that is no proxy is a mistake', async () => {
  const proxy = await scriptedProxy((socket) => void socket.once('data', () => socket.end('HTTP/1.1 403 No\r\n\r\n')));
  const server = await startTestServer();
  const here = project(
    server.config(testPrefix()).replace('smtp: {', `proxy: "http://user:${secret}@127.0.0.1:${proxy.port}", smtp: {`),
  );
  const { code, values, stdout } = await here.callJson(['check', '--connect']);
  expect(code).toBe(1);
  expect(values).toMatchObject([
    { connectors: [{ ok: false, fault: 'config', code: 'EPROXYDENIED', proxy: `http://127.0.0.1:${proxy.port}` }] },
  ]);
  expect(stdout).not.toContain(secret);
  const other = project(server.config(testPrefix()));
  const bad = await other.call(['check'], { env: { HTTPS_PROXY: `nonsense://${secret}` } });
  expect(bad.code).toBe(2);
  expect(bad.stdout).toContain('HTTPS_PROXY  connectors  [proxy]  must be http://HOST:PORT');
  expect(bad.stdout).not.toContain(secret);
});
