/** Whether Graph takes mail from each sender, asked by a message to nobody, against a fake Graph over HTTPS. */
import { expect, test } from 'vitest';
import type { SenderCheck } from '../../../src/transport/transport.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { graphPair, type GraphPair } from '../../support/graph-client.ts';

async function told({ transport }: GraphPair, senders: readonly string[]): Promise<SenderCheck[]> {
  const checks: SenderCheck[] = [];
  await transport.trySenders?.(senders, new AbortController().signal, (check) => checks.push(check));
  return checks.toSorted((a, b) => senders.indexOf(a.address) - senders.indexOf(b.address));
}

const summary = (checks: readonly SenderCheck[]) =>
  checks.map(({ address, result, right }) => [address, result, right]);

test('each sender with a mailbox of its own may send, and one that the application may not use lacks Mail.Send', async () => {
  const senders = ['sales@example.com', 'ceo@example.com', 'nobody@example.com'];
  const pair = await graphPair({ mailboxes: senders.slice(0, 2), addresses: senders });
  Object.assign(pair.graph.mailbox('ceo@example.com').permissions, { send: false });
  const checks = await told(pair, senders);
  expect(summary(checks)).toEqual([
    ['sales@example.com', 'ok', null],
    ['ceo@example.com', 'refused', 'Mail.Send'],
    ['nobody@example.com', 'refused', 'Mail.Send'],
  ]);
  expect(checks[1]?.reply).toMatchObject({ code: '403', enhancedCode: 'ErrorAccessDenied' });
  expect(checks[1]?.advice).toContain('application access policy');
  expect(pair.graph.deliveries).toEqual([]);
});

test('a sender that the mailbox may not send as is refused, and one that it may send as is not taken for proven', async () => {
  const mailbox = { address: 'relay@example.com', sendAs: ['shop@example.com'] };
  const pair = await graphPair({ mailboxes: [mailbox], settings: { mailbox: mailbox.address } });
  const checks = await told(pair, ['relay@example.com', 'shop@example.com', 'ceo@example.com']);
  expect(summary(checks)).toEqual([
    ['relay@example.com', 'ok', null],
    ['shop@example.com', 'unproven', null],
    ['ceo@example.com', 'refused', 'Send As'],
  ]);
  expect(checks[2]?.advice).toContain('grant the mailbox relay@example.com Send As for ceo@example.com');
  expect(pair.graph.deliveries).toEqual([]);
  expect(pair.graph.mailbox('relay@example.com').in('drafts')).toEqual([]);
});

test('after Graph throttles, no further sender is asked for', async () => {
  const senders = Array.from({ length: 20 }, (_, i) => `s${i}@example.com`);
  const pair = await graphPair({ domains: ['example.com'], addresses: senders });
  pair.graph.script('sendMail', ...Array.from({ length: 20 }, () => faults.throttled(60)));
  const checks = await told(pair, senders);
  expect(checks).toHaveLength(20);
  expect(new Set(checks.map(({ result }) => result))).toEqual(new Set(['unknown']));
  expect(pair.graph.count('sendMail')).toBeLessThanOrEqual(2);
});

test.each([
  ['an error of Exchange', faults.graph(500, 'ErrorInternalServerError'), 'unknown'],
  ['an unknown refusal', faults.graph(400, 'ErrorOfTomorrow'), 'unknown'],
  ['an acceptance of a message to nobody', faults.answer(202), 'unknown'],
  ['a lost connection', faults.reset('after-body'), 'unknown'],
])('%s is never taken for a right', async (_, fault, result) => {
  const pair = await graphPair();
  pair.graph.script('sendMail', fault);
  expect(await told(pair, ['sales@example.com'])).toMatchObject([{ result }]);
});

test('a secret that Graph repeats is masked', async () => {
  const pair = await graphPair();
  const secret = pair.graph.app.clientSecret ?? '';
  pair.graph.script('sendMail', faults.graph(403, 'ErrorAccessDenied', `no right for ${secret}`));
  const checks = await told(pair, ['sales@example.com']);
  expect(checks).toMatchObject([{ result: 'refused' }]);
  expect(JSON.stringify(checks)).not.toContain(secret);
});
