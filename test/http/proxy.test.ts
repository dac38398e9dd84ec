/** The proxy of a connector in the API and the dashboard: where its mail goes through, and never the login. */
import { expect, test } from 'vitest';
import { signIn, wordsOf } from '../support/dashboard.ts';
import { serveApi } from '../support/http-server.ts';

const secret = 'hunter2';
const sales = `{ direction: outgoing, address: sales@example.com, smtp: { host: a.example }, proxy: "http://user:${secret}@proxy.example.com:3128" }`;
const name = 'http://proxy.example.com:3128';

test('the API shows it with a connector and with a route', async () => {
  const api = await serveApi({ others: { sales } });
  const answers = [
    await api.ask('/v1/connectors?sort=id'),
    await api.ask('/v1/connectors/sales'),
    await api.ask('/v1/routes/explain?from=sales@example.com'),
    await api.ask('/v1/routes/explain?from=other@example.com'),
  ];
  expect(answers.map(({ body }) => body)).toMatchObject([
    {
      items: [
        { id: 'relay', proxy: null },
        { id: 'sales', proxy: name },
      ],
    },
    { proxy: name },
    { connector: 'sales', proxy: name },
    { connector: 'relay', proxy: null },
  ]);
  expect(JSON.stringify(answers)).not.toContain(secret);
});

test('the dashboard shows it with a connector and with a route', async () => {
  const visitor = await signIn(await serveApi({ others: { sales } }));
  const [connector, route, plain] = [
    await visitor.get('/ui/connectors/sales'),
    await visitor.get('/ui/routes?from=sales@example.com'),
    await visitor.get('/ui/connectors/relay'),
  ];
  expect(wordsOf(connector)).toContain(`Proxy ${name}`);
  expect(wordsOf(route)).toContain(`It goes through the proxy ${name}`);
  expect(wordsOf(plain)).not.toContain('Proxy');
  for (const page of [connector, route]) expect(page.text).not.toContain(secret);
});
