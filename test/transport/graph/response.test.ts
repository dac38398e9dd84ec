/** What answers of Graph mean, row by row, and how they are read. */
import { describe, expect, test } from 'vitest';
import { graphRules } from '../../../src/transport/graph/error-table.ts';
import { HttpFailure } from '../../../src/transport/http.ts';
import { outcomeOf, type Purpose } from '../../../src/transport/graph/outcome.ts';
import { readAnswer } from '../../../src/transport/graph/response.ts';
import type { Outcome } from '../../../src/transport/transport.ts';

const now = Date.UTC(2026, 10, 22, 12);
const facts = {
  recipients: ['a@x.example', 'b@x.example'],
  mailbox: 'sales@x.example',
  sender: 'ceo@x.example',
  isOneOfMany: false,
  now,
};
const errorText = (code: string, message = 'said so'): string => JSON.stringify({ error: { code, message } });
const answer = (status: number, text = '', headers: Record<string, string> = {}) =>
  ({ kind: 'answer', status, text, headers: new Headers(headers), end: 'whole' }) as const;

/** `fault pauseMs` or the outcome of all recipients. */
function brief(outcome: Outcome): string {
  if (outcome.kind === 'connector-fault') return `${outcome.fault} ${outcome.pauseMs ?? '-'}`;
  if (outcome.kind === 'stopped') return 'stopped';
  const kinds = new Set(outcome.recipients.map((one) => (one.tooLarge === true ? 'too-large' : one.outcome)));
  return [...kinds].join();
}
const came = (status: number, code = '', headers: Record<string, string> = {}, purpose: Purpose = 'submit'): string =>
  brief(outcomeOf(answer(status, code === '' ? '' : errorText(code), headers), purpose, facts));

describe('of a connector with many mailboxes', () => {
  const many = { ...facts, isOneOfMany: true };
  const open = (status: number, code: string, headers: Record<string, string> = {}) => {
    const outcome = outcomeOf(answer(status, errorText(code), headers), 'submit', many);
    return outcome.kind === 'settled'
      ? outcome.recipients.map(({ outcome, open, retryAfterMs }) => [outcome, open, retryAfterMs])
      : outcome.kind;
  };

  test.each([
    [429, '', 'throttled'],
    [429, 'ErrorSubmissionQuotaExceeded', 'quota'],
    [400, 'ErrorQuotaExceeded', 'quota'],
    [403, 'ErrorAccountSuspend', 'blocked'],
    [403, 'ErrorAccessDenied', 'config'],
    [404, 'ErrorInvalidUser', 'config'],
    [404, '', 'config'],
  ])('%i %s concerns one mailbox until other messages show that it is the connector: %s', (status, code, suspect) => {
    const one = ['deferred', { suspect, atSender: false }, undefined];
    expect(open(status, code)).toEqual([one, one]);
  });

  test('the delay that Graph asks for is that of the message', () => {
    const one = ['deferred', { suspect: 'throttled', atSender: false, pauseMs: 7_000 }, 7_000];
    expect(open(429, '', { 'retry-after': '7' })).toEqual([one, one]);
  });

  test.each([
    [401, 'InvalidAuthenticationToken'],
    [302, ''],
    [509, ''],
    [402, ''],
  ])('%i %s concerns all of them', (status, code) => {
    expect(open(status, code)).toBe('connector-fault');
  });
});

test('more recipients than Exchange takes are a limit of the connector: another one may take the mail', () => {
  const outcome = outcomeOf(answer(400, errorText('ErrorExceededMaxRecipientLimit')), 'submit', facts);
  expect(outcome).toMatchObject({ recipients: facts.recipients.map(() => ({ outcome: 'rejected', unfit: true })) });
});

describe('what an answer to a message means', () => {
  test.each([
    [202, '', 'accepted'],
    [200, '', 'uncertain'],
    [201, '', 'uncertain'],
    [204, '', 'uncertain'],
    [302, '', 'config -'],
    [400, 'ErrorInvalidRecipients', 'rejected'],
    [400, 'ErrorMimeContentInvalidBase64String', 'rejected'],
    [400, 'ErrorMessageSizeExceeded', 'too-large'],
    [400, 'BadRequest', 'rejected'],
    [401, 'InvalidAuthenticationToken', 'auth -'],
    [403, 'ErrorAccessDenied', 'config -'],
    [403, 'ErrorSendAsDenied', 'rejected'],
    [403, 'ErrorAccountSuspend', 'blocked -'],
    [403, '', 'config -'],
    [404, 'ErrorInvalidUser', 'config -'],
    [404, 'MailboxNotEnabledForRESTAPI', 'config -'],
    [404, 'ErrorItemNotFound', 'uncertain'],
    [404, 'ErrorMailRecipientNotFound', 'rejected'],
    [408, '', 'uncertain'],
    [409, 'ErrorIrresolvableConflict', 'deferred'],
    [413, '', 'too-large'],
    [418, '', 'rejected'],
    [429, '', 'throttled 60000'],
    [429, 'ApplicationThrottled', 'throttled 60000'],
    [429, 'ErrorSubmissionQuotaExceeded', 'quota 3600000'],
    [400, 'ErrorExceededMessageLimit', 'quota 3600000'],
    [400, 'ErrorQuotaExceeded', 'quota 3600000'],
    [500, 'ErrorInternalServerError', 'uncertain'],
    [500, 'ErrorMailboxStoreUnavailable', 'uncertain'],
    [500, 'ErrorMailboxMoveInProgress', 'deferred'],
    [500, 'ErrorVirusDetected', 'rejected'],
    [500, '', 'uncertain'],
    [502, '', 'uncertain'],
    [503, '', 'uncertain'],
    [503, 'ErrorServerBusy', 'throttled 60000'],
    [504, 'UnknownError', 'uncertain'],
    [507, '', 'quota 3600000'],
    [599, '', 'uncertain'],
  ])('%i %s is %s', (status, code, expected) => {
    expect(came(status, code)).toBe(expected);
  });

  test('every row names its source', () => {
    expect(graphRules.filter(({ source }) => !source.startsWith('https://'))).toEqual([]);
  });

  test('no code in the body turns an error into a success, or a success into an error', () => {
    expect(came(202, 'ErrorInvalidRecipients')).toBe('accepted');
    expect(came(500, '202')).toBe('uncertain');
  });

  test('Retry-After overrides the pause of the table, in seconds and as a date', () => {
    expect(came(429, '', { 'retry-after': '17' })).toBe('throttled 17000');
    expect(came(503, '', { 'retry-after': new Date(now + 90_000).toUTCString() })).toBe('throttled 90000');
    expect(came(503, 'ServiceUnavailable', { 'retry-after': '2' })).toBe('throttled 2000');
  });

  test('an acceptance with Retry-After remains one, and slows the lane down', () => {
    const outcome = outcomeOf(answer(202, '', { 'retry-after': '30' }), 'submit', facts);
    expect([brief(outcome), outcome]).toMatchObject(['accepted', { slowDownMs: 30_000 }]);
  });

  test('a refusal of Send As names the mailbox and the address', () => {
    const outcome = outcomeOf(answer(403, errorText('ErrorSendAsDenied')), 'submit', facts);
    const text = outcome.kind === 'settled' ? outcome.recipients[0]?.reply.text : '';
    expect(text).toContain('the mailbox sales@x.example may not send as ceo@x.example');
  });

  test('a step before the request to send is never uncertain', () => {
    for (const status of [200, 408, 500, 502, 504]) expect(came(status, '', {}, 'prepare')).toBe('deferred');
    expect(came(404, 'ErrorItemNotFound', {}, 'prepare')).toBe('deferred');
  });
});

describe('no answer', () => {
  const broke = (stage: 'connect' | 'partial' | 'complete', code: string | null, purpose: Purpose = 'submit'): string =>
    brief(outcomeOf({ kind: 'no-answer', failure: new HttpFailure(stage, code, 'broke') }, purpose, facts));

  test('before the connection is established is a fault of the connector', () => {
    expect(broke('connect', 'ECONNREFUSED')).toBe('unreachable -');
    expect(broke('connect', 'SELF_SIGNED_CERT_IN_CHAIN')).toBe('tls -');
  });

  test('after a part of the message is safe to retry, and after all of it is uncertain', () => {
    expect(broke('partial', 'ECONNRESET')).toBe('deferred');
    expect(broke('complete', 'ECONNRESET')).toBe('uncertain');
    expect(broke('complete', 'ETIMEDOUT')).toBe('uncertain');
    expect(broke('complete', 'ECONNRESET', 'prepare')).toBe('deferred');
  });
});

describe('reading an answer', () => {
  test('prefers the most specific of nested codes, whatever the spelling of innerError', () => {
    const text = JSON.stringify({
      error: {
        code: 'UnknownError',
        message: 'm',
        innererror: { code: 'x', innerError: { code: 'ErrorSendAsDenied' } },
      },
    });
    const { reply, verdict } = readAnswer(answer(403, text), now);
    expect([reply.enhancedCode, verdict.kind]).toEqual(['ErrorSendAsDenied', 'rejected']);
  });

  test('keeps status and request id for support', () => {
    const { reply } = readAnswer(answer(500, errorText('Foo', 'bar'), { 'request-id': 'r-1' }), now);
    expect(reply).toEqual({ code: '500', enhancedCode: 'Foo', text: 'bar [request-id r-1]' });
  });

  test.each([
    '<html><head><title>502 Bad Gateway</title>',
    '',
    'null',
    '[]',
    '{"error":7}',
    '{"error":{"code":7}}',
    '\u0000',
  ])('copes with a body that is not from Graph: %j', (text) => {
    const { verdict, reply } = readAnswer(answer(502, text), now);
    expect(verdict.kind).toBe('uncertain');
    expect(reply.text).not.toBe('');
  });

  test('attack: survives a body that nests for ever or forges a log line', () => {
    const deep = `${'{"error":{"innerError":'.repeat(5_000)}null${'}}'.repeat(5_000)}`;
    expect(readAnswer(answer(500, deep), now).verdict.kind).toBe('uncertain');
    expect(readAnswer(answer(400, errorText('X', 'a\nevent=ready')), now).reply.text).toBe('a event=ready');
  });
});
