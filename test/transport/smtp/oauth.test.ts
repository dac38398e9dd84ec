/** SMTP logins by access token: Exchange Online through Entra, Gmail by refresh token and by service account, and their hints. */
import { generateKeyPairSync, verify } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startFakeGraph } from '../../../testkit/graph/fake-graph.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import type { GoogleGrant, OAuthSettings } from '../../../src/transport/oauth/settings.ts';
import { createCertificates, type Certificates } from '../../../testkit/certificates.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const user = 'sales@example.com';

/** A server that takes any token, but for those that `refuse` names. */
async function pairFor(oauth2: OAuthSettings, script: Parameters<typeof smtpPair>[0] = {}) {
  return smtpPair(
    { auth: { user, password: '', mechanisms: ['XOAUTH2'] }, script: { AUTH: '235 2.7.0 welcome' }, ...script },
    { auth: { user, oauth2 }, allowInsecureAuth: true },
  );
}

describe('Exchange Online', () => {
  async function entra() {
    const graph = await startFakeGraph();
    onTestFinished(() => graph.stop());
    const oauth2: OAuthSettings = {
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
    };
    return { graph, oauth2 };
  }

  test('gets a token for Outlook, which is requested once', async () => {
    const { graph, oauth2 } = await entra();
    const { server, transport } = await pairFor(oauth2);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(await transport.check(new AbortController().signal)).toMatchObject({ ok: true });
    const [attempt] = server.received.authAttempts;
    expect([attempt?.mechanism, attempt?.user]).toEqual(['XOAUTH2', user]);
    expect(graph.secrets()).toContain(attempt?.password);
    expect([graph.count('token'), server.received.authAttempts.length]).toEqual([1, 2]);
    const request = graph.requests.find(({ operation }) => operation === 'token');
    expect(request?.body.toString()).toContain(encodeURIComponent('https://outlook.office365.com/.default'));
  });

  test('that refuses a token gets another one next time, and the text says what to set up', async () => {
    const { graph, oauth2 } = await entra();
    const refusal = '535 5.7.3 Authentication unsuccessful';
    const { server, transport } = await pairFor(oauth2, { script: { AUTH: [refusal, '235 2.7.0 welcome'] } });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'auth', reply: { code: '535' } });
    expect(JSON.stringify(outcome)).toContain('SMTP.SendAsApp');
    expect(graph.count('token')).toBe(1);
    await sendBy(transport, mailOf());
    expect(graph.count('token')).toBe(2);
    const tokens = server.received.authAttempts.map(({ password }) => password);
    expect(new Set(tokens).size).toBe(2);
  });

  test('that refuses a login for a rate or for trouble of its own keeps the token', async () => {
    const { graph, oauth2 } = await entra();
    const replies = ['535 5.7.3 too many logins', '454 4.7.0 Temporary authentication failure'];
    const { server, transport } = await pairFor(oauth2, { script: { AUTH: replies } });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault throttled');
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault unreachable');
    await transport.check(new AbortController().signal);
    expect(server.received.authAttempts).toHaveLength(3);
    expect(graph.count('token')).toBe(1);
  });

  test('is not connected to without a token', async () => {
    const { graph, oauth2 } = await entra();
    graph.script('token', faults.entra(7000222));
    const { server, transport } = await pairFor(oauth2);
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'auth', reply: { code: 'AADSTS7000222' } });
    expect(server.received.connections).toBe(0);
  });

  test('without XOAUTH2 is a fault of the configuration', async () => {
    const { oauth2 } = await entra();
    const { transport } = await pairFor(oauth2, { auth: { user, password: 'p', mechanisms: ['PLAIN'] } });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault config');
  });

  test('that repeats the token in its refusal does not get it into the log', async () => {
    const { graph, oauth2 } = await entra();
    const { transport } = await pairFor(oauth2, { script: { AUTH: ({ line }) => `535 5.7.8 cannot ${line}` } });
    const shown = JSON.stringify(await sendBy(transport, mailOf()));
    for (const secret of graph.secrets()) {
      expect(shown).not.toContain(secret);
      expect(shown).not.toContain(
        Buffer.from(`user=${user}\u0001auth=Bearer ${secret}\u0001\u0001`).toString('base64'),
      );
    }
  });

  test.each([
    ['550 5.7.30 Basic authentication is not supported for Client Submission.', 'smtp.auth.oauth2'],
    ['535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.', 'Set-CASMailbox'],
    ['535 5.7.139 Authentication unsuccessful, basic authentication is disabled.', 'security defaults'],
  ])('answers a password with "%s", and the text says what to do', async (reply, hint) => {
    const { transport } = await smtpPair(
      { auth: { user, password: 'p' }, script: { AUTH: reply } },
      { auth: { user, password: 'p' }, allowInsecureAuth: true },
    );
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault auth');
    expect(JSON.stringify(outcome)).toContain(hint);
  });
});

describe('Gmail', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await createCertificates();
  });

  /** Google's token endpoint; `answers` are given in order, the last of them for ever. */
  async function google(grant: GoogleGrant, ...answers: readonly (readonly [status: number, body: object])[]) {
    const forms: URLSearchParams[] = [];
    const server = https.createServer(certificates.server, (request, response) => {
      void answerTo(request, response);
    });
    const answerTo = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const form = new URLSearchParams(await text(request));
      const [status, answer] = answers[Math.min(forms.length, answers.length - 1)]!;
      forms.push(form);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    };
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    const tokenUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
    const oauth2: OAuthSettings = { provider: 'google', grant, tokenUrl, ca: certificates.ca, tokenMs: 60_000 };
    return { forms, oauth2, tokenUrl };
  }

  const refreshToken: GoogleGrant = { kind: 'refreshToken', clientId: 'c', clientSecret: 's', refreshToken: 'r+/=' };
  const good = [200, { access_token: 'ya29.token', expires_in: 3599 }] as const;

  test('gets the token of a refresh token', async () => {
    const { forms, oauth2 } = await google(refreshToken, good);
    const { server, transport } = await pairFor(oauth2);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.authAttempts).toMatchObject([{ user, password: 'ya29.token' }]);
    const [form] = forms;
    expect(Object.fromEntries(form ?? [])).toEqual({
      grant_type: 'refresh_token',
      client_id: 'c',
      client_secret: 's',
      refresh_token: 'r+/=',
    });
  });

  test('gets the token of a service account that acts for the user', async () => {
    const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const grant: GoogleGrant = { kind: 'serviceAccount', clientEmail: 'bot@project.example', privateKey };
    const { forms, oauth2, tokenUrl } = await google(grant, good);
    const { transport } = await pairFor(oauth2);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    const [head = '', claims = '', signature = ''] = (forms[0]?.get('assertion') ?? '').split('.');
    const signed = Buffer.from(`${head}.${claims}`);
    expect(verify('sha256', signed, keys.publicKey, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      iss: 'bot@project.example',
      sub: user,
      aud: tokenUrl,
      scope: 'https://mail.google.com/',
    });
  });

  test.each([
    [400, 'invalid_grant', 'auth', 'was revoked'],
    [401, 'invalid_client', 'auth', 'secret is wrong'],
    [401, 'unauthorized_client', 'config', 'domain-wide delegation'],
    [503, 'internal_failure', 'unreachable', '503'],
    [429, 'rate_limit_exceeded', 'throttled', '429'],
    [200, 'no token in it', 'auth', '200'],
  ])('answers %i %s, which is a fault %s that says what to do', async (status, error, fault, hint) => {
    const { oauth2 } = await google(refreshToken, [status, { error }]);
    const { server, transport } = await pairFor(oauth2);
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault });
    expect(JSON.stringify(outcome)).toContain(hint);
    expect(server.received.connections).toBe(0);
  });
});
