/** Credentials against the fake Entra: each kind gets its token, and each failure says what to fix. No secret is shown. */
import { generateKeyPairSync } from 'node:crypto';
import { generate } from 'selfsigned';
import { describe, expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import { freely, graphPair, mailTo } from '../../support/graph-client.ts';

const mail = mailTo(['a@example.net'], ['To: a@example.net']);
const accepted = { recipients: [{ outcome: 'accepted' }] };

describe('a token', () => {
  test('is requested once for many messages', async () => {
    const { graph, transport } = await graphPair();
    const sent = await Promise.all(Array.from({ length: 20 }, () => transport.send(mail, freely)));
    for (const outcome of sent) expect(outcome).toMatchObject(accepted);
    expect(graph.count('token')).toBe(1);
  });

  test('that Graph refuses is replaced once, and the message is sent once', async () => {
    const { graph, transport } = await graphPair();
    await transport.send(mail, freely);
    graph.revokeTokens();
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
    expect([graph.count('token'), graph.deliveries.length]).toEqual([2, 2]);
  });

  test('that Graph keeps refusing is a fault after two requests', async () => {
    const { graph, transport } = await graphPair();
    graph.script('sendMail', () => faults.invalidToken());
    expect(await transport.send(mail, freely)).toMatchObject({ kind: 'connector-fault', fault: 'auth' });
    expect([graph.count('sendMail'), graph.count('token')]).toEqual([2, 2]);
  });

  test('is granted for a certificate', async () => {
    const server = await generate([{ name: 'commonName', value: 'postlane' }], { keySize: 2048 });
    const { graph, transport } = await graphPair({
      apps: [{ clientId: '0b6f3a52-8f35-4f4e-9a51-3f1b7f0f7a22', certificate: server.cert }],
      settings: {
        credential: { kind: 'clientCertificate', certificate: `${server.cert}\n${server.private}`, password: null },
      },
    });
    const outcome = await transport.send(mail, freely);
    expect(outcome).toMatchObject(accepted);
    expect(graph.count('token')).toBe(1);
  });
});

describe('a failure', () => {
  test('of an expired secret says what to do, and ends with its renewal', async () => {
    const { graph, transport } = await graphPair();
    graph.app.secretExpired = true;
    let asked = 0;
    const fence = (): Promise<boolean> => Promise.resolve(++asked > 0);
    const outcome = await transport.send(mail, { ...freely, fence });
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'auth', reply: { enhancedCode: 'AADSTS7000222' } });
    expect(JSON.stringify(outcome)).toContain('create a new one');
    expect(asked).toBe(0);
    graph.app.secretExpired = false;
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
  });

  test('of Entra itself is not remembered', async () => {
    const { graph, transport } = await graphPair();
    graph.script('token', faults.entra(90033, 'Later.', 503), faults.answer(429, '', { 'retry-after': '3600' }));
    expect(await transport.send(mail, freely)).toMatchObject({ kind: 'connector-fault', fault: 'unreachable' });
    expect(await transport.send(mail, freely)).toMatchObject({ kind: 'connector-fault' });
    expect(await transport.send(mail, freely)).toMatchObject(accepted);
  });

  test('of an Entra that does not answer comes within the time for tokens', async () => {
    const { graph, transport } = await graphPair({
      settings: { timeouts: { tokenMs: 200, requestMs: 5_000, uploadMs: 5_000, sentItemsMs: 1 } },
    });
    graph.script('token', faults.hang('after-body'));
    const outcome = await transport.send(mail, freely);
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable', reply: { code: 'ETIMEDOUT' } });
  });

  test('of an unreadable certificate is a fault of the credential', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const { transport } = await graphPair({
      settings: { credential: { kind: 'clientCertificate', certificate: pem, password: null } },
    });
    expect(await transport.send(mail, freely)).toMatchObject({ kind: 'connector-fault', fault: 'auth' });
  });
});

describe('check', () => {
  test('reports what the connector may do, and sends nothing', async () => {
    const { graph, transport } = await graphPair();
    expect(await transport.check(freely.signal)).toEqual({
      ok: true,
      detail: 'mailbox sales@example.com can be sent through; sent items can be looked up',
    });
    graph.mailbox('sales@example.com').permissions.read = false;
    expect(await transport.check(freely.signal)).toMatchObject({
      detail: expect.stringContaining('cannot be looked up') as string,
    });
    expect(graph.deliveries).toEqual([]);
  });

  test('reports what is missing', async () => {
    const { graph, transport } = await graphPair();
    graph.mailbox('sales@example.com').permissions.send = false;
    expect(await transport.check(freely.signal)).toMatchObject({ ok: false, fault: 'config' });
    const { transport: lost } = await graphPair({ settings: { mailbox: 'nobody@example.com' } });
    expect(await lost.check(freely.signal)).toMatchObject({ ok: false, fault: 'config' });
    graph.app.secretExpired = true;
    graph.revokeTokens();
    expect(await transport.check(freely.signal)).toMatchObject({ ok: false, fault: 'auth' });
  });

  test('of a connector without an address proves the token alone', async () => {
    const { graph, transport } = await graphPair({ addresses: ['*@example.com'] });
    expect(await transport.check(freely.signal)).toMatchObject({ ok: true });
    expect(graph.count('sendMail')).toBe(0);
  });
});

test('no token and no secret is in any outcome, and no request goes anywhere else', async () => {
  const { graph, transport } = await graphPair();
  const outcomes: unknown[] = [];
  const bad = [faults.invalidToken(), faults.badGateway(), faults.throttled(1), faults.reset('after-body')];
  for (const fault of bad) {
    graph.script('sendMail', fault);
    outcomes.push(await transport.send(mail, freely));
  }
  graph.script('token', faults.entra(7000215, `Invalid client secret provided: ${graph.app.clientSecret}`));
  graph.revokeTokens();
  outcomes.push(await transport.send(mail, freely));
  const shown = JSON.stringify(outcomes);
  for (const secret of graph.secrets()) expect(shown).not.toContain(secret);
});
