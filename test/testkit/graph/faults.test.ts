/** Holds the fake's Entra, its uploads and its scripted faults to what they promise. */
import { createHash, sign, X509Certificate } from 'node:crypto';
import { ClientCertificateCredential, ClientSecretCredential } from '@azure/identity';
import { generate } from 'selfsigned';
import { describe, expect, test } from 'vitest';
import { faults, type Fault } from '../../../testkit/graph/faults.ts';
import { callFakeGraph, errorOf, type Caller, type Reply } from '../../support/graph-caller.ts';

const sales = 'sales%40example.com';
const mime = 'From: sales@example.com\r\nTo: a@example.net\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n';
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const send = (caller: Caller): Promise<Reply> => caller.postMime(`${sales}/sendMail`, mime);

describe('tokens', () => {
  test('Azure’s own client gets a token, over discovery and a private CA', async () => {
    const { graph } = await callFakeGraph();
    const credential = new ClientSecretCredential(graph.tenantId, graph.app.clientId, graph.app.clientSecret ?? '', {
      authorityHost: graph.authorityHost,
      disableInstanceDiscovery: true,
      tlsOptions: { ca: graph.ca },
    });
    const token = await credential.getToken(`${graph.graphBaseUrl}/.default`);
    expect(graph.secrets()).toContain(token.token);
    expect([graph.count('discovery'), graph.count('token')]).toEqual([1, 2]);
  });

  test.each<[string, Record<string, string>]>([
    ['400 AADSTS700016', { client_id: 'unknown' }],
    ['401 AADSTS7000215', { client_secret: 'wrong' }],
    ['400 AADSTS1002012', { scope: 'Mail.Send' }],
    ['400 AADSTS70003', { grant_type: 'password' }],
    ['401 AADSTS700213', { client_assertion: 'a.b.c', client_assertion_type: jwtBearer }],
  ])('a wrong token request is refused with %s', async (expected, form) => {
    const caller = await callFakeGraph();
    const { status, json } = await caller.token(form);
    expect(`${status} ${String(json['error_description']).split(':')[0]}`).toBe(expected);
  });

  test('an expired secret gets no token until there is a new one', async () => {
    const caller = await callFakeGraph();
    caller.graph.app.secretExpired = true;
    expect((await caller.token()).json['error_codes']).toEqual([7000222]);
    caller.graph.app.secretExpired = false;
    caller.graph.app.clientSecret = 'new';
    expect((await caller.token()).status).toBe(200);
  });

  test('an assertion gets a token only if the registered certificate has signed it', async () => {
    const [own, stranger] = await Promise.all([newCertificate(), newCertificate()]);
    const caller = await callFakeGraph();
    const { graph } = caller;
    graph.app.certificate = own.cert;
    const scope = `${graph.graphBaseUrl}/.default`;
    const azure = ({ cert, key }: Certificate) => {
      const options = {
        authorityHost: graph.authorityHost,
        disableInstanceDiscovery: true,
        tlsOptions: { ca: graph.ca },
      };
      const certificate = `${key}\n${cert}`;
      return new ClientCertificateCredential(graph.tenantId, graph.app.clientId, { certificate }, options).getToken(
        scope,
      );
    };
    expect(await azure(own)).toHaveProperty('token');
    await expect(azure(stranger)).rejects.toThrow(/AADSTS700027/);

    const audience = `${graph.authorityHost}/${graph.tenantId}/oauth2/v2.0/token`;
    const ask = async (aud: string, expiresInS: number, key = own.key) => {
      const client_assertion = assertion({ ...own, key }, graph.app.clientId, aud, expiresInS);
      return (await caller.token({ client_assertion, client_assertion_type: jwtBearer })).json['error_codes'];
    };
    expect(await ask(audience, 600)).toBeUndefined();
    expect(await ask('https://elsewhere.example', 600)).toEqual([700023]);
    expect(await ask(audience, -1)).toEqual([700024]);
    // The right certificate is named, and another key has signed.
    expect(await ask(audience, 600, stranger.key)).toEqual([700027]);
  });

  test('a token is refused when it has expired, was revoked, or is for another audience', async () => {
    let now = Date.now();
    const caller = await callFakeGraph({ now: () => now });
    const { graph } = caller;
    expect((await send(caller)).status).toBe(202);
    now += 3_600_000;
    expect(errorOf(await send(caller))).toBe('401 InvalidAuthenticationToken');
    const bearer = async (form = {}) => {
      const token = String((await caller.token(form)).json['access_token']);
      return () => caller.mail(`${sales}/messages`, { headers: { authorization: `Bearer ${token}` } });
    };
    const fresh = await bearer();
    expect((await fresh()).status).toBe(200);
    expect((await (await bearer({ scope: 'https://outlook.office365.com/.default' }))()).status).toBe(401);
    graph.revokeTokens();
    expect((await fresh()).headers['www-authenticate']).toMatch(/^Bearer/);
  });

  test('no record of a request shows a token or a secret', async () => {
    const caller = await callFakeGraph();
    await send(caller);
    const { graph } = caller;
    const shown = JSON.stringify(graph.requests.map((request) => [request, request.body.toString()]));
    expect(graph.secrets()).toHaveLength(2);
    for (const secret of graph.secrets()) expect(shown).not.toContain(secret);
    expect(graph.requests.at(-1)?.headers['authorization']).toBe('Bearer (token 1)');
  });
});

describe('an upload session', () => {
  const size = 7_000_000;
  const bytes = Buffer.alloc(size, 'attachment');
  const step = 3_276_800;

  async function open(): Promise<{
    caller: Caller;
    url: string;
    put: (from: number, headers?: object) => Promise<Reply>;
  }> {
    const caller = await callFakeGraph();
    const created = await caller.post(`${sales}/messages`, {
      toRecipients: [{ emailAddress: { address: 'a@example.net' } }],
    });
    const id = encodeURIComponent(String(created.json['id']));
    const item = { AttachmentItem: { attachmentType: 'file', name: 'large.bin', size } };
    const { status, json } = await caller.post(`${sales}/messages/${id}/attachments/createUploadSession`, item);
    expect(status).toBe(201);
    const url = String(json['uploadUrl']);
    const put = (from: number, headers = {}) => {
      const body = bytes.subarray(from, from + step);
      const range = { 'content-range': `bytes ${from}-${from + body.length - 1}/${size}` };
      return caller.ask(url, { method: 'PUT', headers: { ...range, ...headers }, body });
    };
    return { caller, url, put };
  }

  test('an upload session takes ranges in order, under a path without a token, and adds the attachment to the draft', async () => {
    const { caller, url, put } = await open();
    expect(url).toContain(`:${caller.graph.port}/api/v2.0/attachmentSessions/`);
    expect((await put(0)).json['NextExpectedRanges']).toEqual([String(step)]);
    expect(errorOf(await put(0))).toBe('416 invalidRange');
    expect((await put(step)).status).toBe(200);
    expect((await put(2 * step)).headers.location).toMatch(/Attachments\('/);
    const [draft] = caller.graph.mailbox('sales@example.com').in('drafts');
    expect(Buffer.concat(draft?.attachments[0]?.chunks ?? []).equals(bytes)).toBe(true);
  });

  test('an upload session refuses a range of 4 MB', async () => {
    const { caller, url } = await open();
    const body = Buffer.alloc(4 * 1024 * 1024);
    const headers = { 'content-range': `bytes 0-${body.length - 1}/${size}` };
    expect((await caller.ask(url, { method: 'PUT', headers, body })).status).toBe(413);
  });

  test('an upload session rejects a bearer token and a wrong session token', async () => {
    const { caller, url, put } = await open();
    expect((await put(0, { authorization: 'Bearer x' })).status).toBe(401);
    expect((await caller.ask(url.replace(/authtoken=.*/, 'authtoken=x'))).status).toBe(401);
  });

  test('an upload session says where to continue after a cut', async () => {
    const { caller, url, put } = await open();
    caller.graph.script('uploadRange', null, faults.reset('mid-body'), faults.reset('after-work'));
    const next = async () => (await caller.ask(url)).json['nextExpectedRanges'];
    await put(0);
    await expect(put(step)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await next()).toEqual([`${step}-`]);
    await expect(put(step)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await next()).toEqual([`${2 * step}-`]);
  });

  test('a cancelled upload session cannot be used any more', async () => {
    const { caller, url, put } = await open();
    expect((await caller.ask(url, { method: 'DELETE' })).status).toBe(204);
    expect(errorOf(await put(0))).toBe('404 uploadSessionNotFound');
  });
});

describe('faults', () => {
  // What the client sees, and how many copies go out.
  test.each<[string, Fault, string, number]>([
    ['429 in seconds', faults.throttled(3), '429 TooManyRequests 3', 0],
    ['429 without a body', faults.throttledEmpty(3), '429 3', 0],
    ['502 of a gateway', faults.badGateway(), '502', 0],
    ['500', faults.internal(), '500 ErrorInternalServerError', 0],
    ['503', faults.unavailable(), '503 ErrorServerBusy', 0],
    ['503 with Retry-After', faults.unavailable(9), '503 ErrorServerBusy 9', 0],
    ['504', faults.gatewayTimeout(), '504 UnknownError', 0],
    ['504 after it was accepted', faults.acceptThen(504), '504 UnknownError', 1],
    ['success that asks to slow down', faults.acceptAndSlowDown(7), '202 7', 1],
    ['200 and nothing sent', faults.silent(), '200', 0],
    ['401', faults.invalidToken(), '401 InvalidAuthenticationToken', 0],
    ['403 Send As', faults.sendAsDenied(), '403 ErrorSendAsDenied', 0],
    ['403', faults.accessDenied(), '403 ErrorAccessDenied', 0],
    ['404', faults.mailboxMissing(), '404 ErrorInvalidUser', 0],
    ['reset before the body', faults.reset('before-body'), 'ECONNRESET', 0],
    ['reset in the body', faults.reset('mid-body'), 'ECONNRESET', 0],
    ['reset after the body', faults.reset('after-body'), 'ECONNRESET', 0],
    ['reset after the work', faults.reset('after-work'), 'ECONNRESET', 1],
    ['reset in the answer', faults.reset('mid-response'), 'ECONNRESET', 1],
  ])('a scripted fault is seen once: %s', async (_, fault, seen, copies) => {
    const caller = await callFakeGraph();
    const entry = caller.graph.script('sendMail', fault);
    const shown = await send(caller).then(
      (reply) => [errorOf(reply), reply.headers['retry-after'] ?? []].flat().join(' '),
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect([shown, caller.graph.deliveries.length, entry.used]).toEqual([seen, copies, 1]);
    expect((await send(caller)).status).toBe(202);
    expect(caller.graph.requests.at(-2)?.fault).toBe(fault.name);
  });

  test('a Retry-After date has whole seconds, rounded up', async () => {
    const now = 1_800_000_000_300;
    const caller = await callFakeGraph({ now: () => now });
    caller.graph.script('sendMail', faults.throttledUntil(2_000));
    const { headers } = await send(caller);
    expect(Date.parse(headers['retry-after'] ?? '')).toBe(1_800_000_003_000);
  });

  test.each(['before-body', 'after-body', 'after-work'] as const)(
    'a request hangs %s until the client goes away',
    async (at) => {
      const caller = await callFakeGraph();
      caller.graph.script('sendMail', faults.hang(at));
      const headers = { 'content-type': 'text/plain' };
      const body = Buffer.from(mime).toString('base64');
      const asked = { method: 'POST', headers, body, signal: AbortSignal.timeout(200) };
      await expect(caller.mail(`${sales}/sendMail`, asked)).rejects.toThrow(/abort/i);
      expect(caller.graph.deliveries).toHaveLength(at === 'after-work' ? 1 : 0);
      expect((await send(caller)).status).toBe(202);
    },
  );

  test('scripted faults apply to the requests they name and to no others', async () => {
    const caller = await callFakeGraph({ mailboxes: ['sales@example.com', 'other@example.com'] });
    const { graph } = caller;
    graph.script({ mailbox: 'other@example.com' }, faults.throttled());
    graph.script({ operation: 'sendMail', when: ({ serial }) => serial > 100 }, faults.throttled());
    const lasting = graph.script('listMessages', () => faults.accessDenied());
    const list = async (user: string) => (await caller.mail(`${user}/messages`)).status;
    expect((await send(caller)).status).toBe(202);
    expect([await list(sales), await list(sales), await list('other%40example.com')]).toEqual([403, 403, 429]);
    lasting.clear();
    expect([lasting.used, await list(sales)]).toEqual([2, 200]);
    // `*` is Graph, not Entra.
    graph.script('*', faults.internal());
    expect((await caller.token()).status).toBe(200);
    expect((await send(caller)).status).toBe(500);
  });
});

interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** RSA: the only keys that Azure's client takes. */
async function newCertificate(): Promise<Certificate> {
  const made = await generate([{ name: 'commonName', value: 'app' }], { keySize: 2048, algorithm: 'sha256' });
  return { key: made.private, cert: made.cert };
}

/** A client assertion (RFC 7523) as clients sign it. */
function assertion({ key, cert }: Certificate, clientId: string, aud: string, expiresInS: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const x5t = createHash('sha1').update(new X509Certificate(cert).raw).digest('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { aud, iss: clientId, sub: clientId, nbf: now - 10, exp: now + expiresInS };
  const signed = `${part({ alg: 'RS256', typ: 'JWT', x5t })}.${part(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}
