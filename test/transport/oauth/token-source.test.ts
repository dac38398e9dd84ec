/** The token of a connector: one request at a time, renewed early, replaced when refused, with a time limit. */
import { describe, expect, test } from 'vitest';
import { readTokenError, TokenFailure, tokenRules } from '../../../src/transport/oauth/entra-errors.ts';
import { createTokenSource } from '../../../src/transport/oauth/token-source.ts';
import type { Token } from '../../../src/transport/oauth/entra.ts';

const hour = 3_600_000;
const { signal } = new AbortController();

/** Answers by hand: each call to `request` waits for the test. */
function source(timeoutMs = 60_000) {
  const asked: { resolve: (token: Token) => void; reject: (error: Error) => void }[] = [];
  let time = 0;
  const tokens = createTokenSource({
    request: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
    timeoutMs,
    now: () => time,
  });
  const give = (token: string, lifetimeMs = hour): void =>
    asked.at(-1)?.resolve({ token, expiresAt: time + lifetimeMs });
  return { tokens, asked, give, at: (ms: number) => (time = ms) };
}

describe('a token', () => {
  test('is requested once, however many callers wait for it', async () => {
    const { tokens, asked, give } = source();
    const all = Promise.all(Array.from({ length: 50 }, () => tokens.get(signal)));
    give('one');
    expect(new Set(await all)).toEqual(new Set(['one']));
    expect(await tokens.get(signal)).toBe('one');
    expect(asked).toHaveLength(1);
  });

  test('is renewed before it expires, and no caller waits for that', async () => {
    const { tokens, asked, give, at } = source();
    const first = tokens.get(signal);
    give('one');
    await first;
    at(55 * 60_000);
    expect([await tokens.get(signal), await tokens.get(signal), asked.length]).toEqual(['one', 'one', 2]);
    give('two');
    await expect.poll(() => tokens.get(signal)).toBe('two');
  });

  test('that cannot be renewed early is used until it expires, without a request per message', async () => {
    const { tokens, asked, give, at } = source();
    const first = tokens.get(signal);
    give('one');
    await first;
    at(55 * 60_000);
    await tokens.get(signal);
    asked.at(-1)?.reject(new Error('AADSTS90033'));
    for (let each = 0; each < 20; each += 1) expect(await tokens.get(signal)).toBe('one');
    expect(asked).toHaveLength(2);
    at(59.5 * 60_000);
    const late = tokens.get(signal);
    asked.at(-1)?.reject(new Error('AADSTS90033'));
    await expect(late).rejects.toBeInstanceOf(TokenFailure);
  });

  test('that was refused is replaced once for all callers that had it', async () => {
    const { tokens, asked, give } = source();
    const first = tokens.get(signal);
    give('one');
    await first;
    const renewed = [tokens.renew('one', signal), tokens.renew('one', signal)];
    give('two');
    expect(await Promise.all(renewed)).toEqual(['two', 'two']);
    expect(await tokens.renew('one', signal)).toBe('two');
    expect(asked).toHaveLength(2);
  });

  test('that never comes is given up, and requested again by the next caller', async () => {
    const { tokens, asked, give } = source(10);
    await expect(tokens.get(signal)).rejects.toMatchObject({ fault: 'unreachable', reply: { code: 'ETIMEDOUT' } });
    const next = tokens.get(signal);
    give('two');
    expect([await next, asked.length]).toEqual(['two', 2]);
  });

  test('is not waited for after the signal', async () => {
    const { tokens, give } = source();
    const stop = new AbortController();
    const waiting = tokens.get(stop.signal);
    const other = tokens.get(signal);
    stop.abort();
    await expect(waiting).rejects.toBeInstanceOf(TokenFailure);
    give('one');
    expect(await other).toBe('one');
  });
});

describe('a refusal of Entra', () => {
  const refusal = (code: number): Error =>
    new Error(
      `invalid_client: Error(s): ${code} - Timestamp: 2026-11-22 - Description: AADSTS${code}: It is so. Trace ID: t-1 Correlation ID: c-1 - Correlation ID: c-1`,
    );

  test.each([
    [7000222, 'auth', 'has expired'],
    [7000215, 'auth', 'is wrong'],
    [700016, 'config', 'check both ids'],
    [90002, 'config', 'no such tenant'],
    [65001, 'config', 'grant admin consent'],
    [53003, 'config', 'Conditional Access'],
    [90033, 'unreachable', 'temporary fault'],
    [90055, 'throttled', 'throttles'],
    [99999999, 'unreachable', 'It is so'],
  ])('with AADSTS%i is %s', (code, fault, text) => {
    const failure = readTokenError(refusal(code));
    expect([failure.fault, failure.reply.enhancedCode]).toEqual([fault, `AADSTS${code}`]);
    expect(failure.reply.text).toContain(text);
    expect(failure.reply.text).not.toMatch(/Trace ID|Timestamp/);
  });

  test('stands in one row only, which says what to do and names its source', () => {
    const codes = tokenRules.flatMap((rule) => rule.codes);
    expect(new Set(codes).size).toBe(codes.length);
    expect(tokenRules.filter(({ hint, source }) => hint === '' || !source.startsWith('https://'))).toEqual([]);
  });

  test.each([
    ['network_error: See https://aka.ms/msal.js.errors#network_error for details', 'unreachable'],
    ['endpoints_resolution_error: Endpoints cannot be resolved', 'unreachable'],
    ['The file at the specified path does not contain a PEM-encoded certificate.', 'auth'],
    [
      'WorkloadIdentityCredential is unavailable. tenantId, clientId, and federatedTokenFilePath are required',
      'config',
    ],
    ['self-signed certificate in certificate chain', 'unreachable'],
  ])('without a code is classified by its text: %s is %s', (text, fault) => {
    expect(readTokenError(new Error(text)).fault).toBe(fault);
  });
});
