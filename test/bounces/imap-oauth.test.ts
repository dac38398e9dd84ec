/** A mailbox at a real Dovecot that takes access tokens alone, which it asks about at the issuer. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createImapSource } from '../../src/bounces/imap.ts';
import { MailboxFailure } from '../../src/bounces/source.ts';
import { dovecotMissing, dovecotUser, startDovecot } from '../../testkit/dovecot.ts';
import { faults } from '../../testkit/graph/faults.ts';
import { fakeGraph } from '../support/graph-project.ts';
import { all, mailsOf, never, reportOn } from './reading.ts';

/** Knows which tokens count (RFC 7662): those of the fake Entra that were not revoked here. */
async function issuer() {
  const graph = await fakeGraph();
  const revoked = new Set<string>();
  const asked: string[] = [];
  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const token = new URLSearchParams(await text(request)).get('token') ?? '';
    asked.push(token);
    const active = graph.secrets().includes(token) && !revoked.has(token);
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(active ? { active: true, username: dovecotUser.user } : { active: false }));
  };
  const server = http.createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const introspectionUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/introspect`;
  const dovecot = await startDovecot(introspectionUrl);
  onTestFinished(() => dovecot.stop());
  const source = createImapSource(
    {
      host: '127.0.0.1',
      port: dovecot.ports.tls,
      security: 'tls',
      tls: { ca: dovecot.ca, servername: 'localhost' },
      auth: {
        user: dovecotUser.user,
        oauth2: {
          provider: 'microsoft',
          identity: {
            tenantId: graph.tenantId,
            clientId: graph.app.clientId,
            credential: { kind: 'clientSecret', clientSecret: graph.app.clientSecret ?? '' },
            authorityHost: graph.authorityHost,
            ca: graph.ca,
            tokenMs: 60_000,
          },
          scope: 'https://outlook.office365.com/.default',
        },
      },
    },
    Date.now,
  );
  return { graph, asked, revoked, dovecot, source };
}

describe.skipIf(dovecotMissing() !== null)('a mailbox that takes access tokens', () => {
  test('is read with one, which is requested once', async () => {
    const { graph, asked, dovecot, source } = await issuer();
    await dovecot.deliver([reportOn('<a@x.test>')]);
    expect(mailsOf(await all(source))).toHaveLength(1);
    expect(mailsOf(await all(source))).toHaveLength(1);
    expect(await source.check(never)).toBe('the INBOX of sales@example.com can be read; it has 1 mails');
    expect(graph.count('token')).toBe(1);
    expect(new Set(asked).size).toBe(1);
  });

  test('a token that is refused is a fault of the login that shows no secret, and another one is requested', async () => {
    const { graph, asked, revoked, dovecot, source } = await issuer();
    await dovecot.deliver([reportOn('<a@x.test>')]);
    await all(source);
    for (const token of asked) revoked.add(token);
    const error = await all(source).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(MailboxFailure);
    expect(error).toMatchObject({ fault: 'auth' });
    for (const secret of graph.secrets()) expect((error as Error).message).not.toContain(secret);
    expect(mailsOf(await all(source))).toHaveLength(1);
    expect(graph.count('token')).toBe(2);
  });

  test('an issuer that gives no token is a fault with its name', async () => {
    const { graph, source } = await issuer();
    graph.script('token', faults.entra(7000222));
    await expect(all(source)).rejects.toMatchObject({ fault: 'auth' });
  });
});
