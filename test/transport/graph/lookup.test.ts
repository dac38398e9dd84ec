/** Attempts without a result: what a look into the mailbox finds, and what stays there afterwards. */
import { describe, expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import type { GraphPair, GraphPairOptions } from '../../support/graph-client.ts';
import { freely, graphPair, largeMail, mailTo } from '../../support/graph-client.ts';

const minute = 60_000;
const start = Date.UTC(2026, 10, 22, 12);

/** A pair whose clock the test moves; the attempt is made at `start`. */
async function inDoubt(options: GraphPairOptions = {}): Promise<GraphPair & { at: (ms: number) => void }> {
  let time = start;
  const pair = await graphPair({ ...options, clock: () => time, now: () => time });
  return { ...pair, at: (ms) => (time = start + ms) };
}

const signal = freely.signal;
const mail = mailTo(['a@example.net'], ['To: a@example.net']);
const attemptedAt = start;

describe('a verification', () => {
  test('finds a message that was accepted although the answer was 504', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.script('sendMail', faults.acceptThen());
    expect(await transport.send(mail, freely)).toMatchObject({ recipients: [{ outcome: 'uncertain' }] });
    at(minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('sent');
  });

  test('reports "not-sent" only after the time in which a copy would have appeared', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.script('sendMail', faults.gatewayTimeout());
    await transport.send(mail, freely);
    at(minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
    at(3 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('not-sent');
  });

  test('waits for a late copy, and for one that Exchange keeps among the drafts', async () => {
    const { graph, transport, at } = await inDoubt({ sentItems: 'in drafts' });
    graph.script('sendMail', faults.acceptThen());
    await transport.send(mail, freely);
    at(5 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
    expect(graph.count('deleteMessage')).toBe(0);
    graph.releaseSentItems();
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('sent');
  });

  test('does not accept a copy that an earlier attempt sent to other recipients', async () => {
    const { transport, at } = await inDoubt();
    await transport.send(mail, freely);
    at(60 * minute);
    const replay = mailTo(['b@example.net'], ['To: a@example.net, b@example.net']);
    expect(await transport.verify?.(replay, { signal, attemptedAt: start + 57 * minute })).toBe('not-sent');
  });

  test('accepts a recent copy to as many recipients, as Exchange may show an alias by its main address', async () => {
    const { transport, at } = await inDoubt();
    await transport.send(mail, freely);
    at(minute);
    const alias = mailTo(['alias@example.net'], ['To: alias@example.net']);
    expect(await transport.verify?.(alias, { signal, attemptedAt })).toBe('sent');
    const more = mailTo(['b@example.net', 'c@example.net']);
    expect(await transport.verify?.(more, { signal, attemptedAt })).toBe('unknown');
  });

  test('without the permission to read reports that', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.mailbox('sales@example.com').permissions.read = false;
    at(5 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('forbidden');
  });

  test.each([
    ['throttled', faults.throttled(5)],
    ['a gateway’s page', faults.badGateway()],
    ['a reset', faults.reset('after-body')],
    ['no mailbox', faults.mailboxMissing()],
  ])('that fails leaves the result unknown: %s', async (_name, fault) => {
    const { graph, transport, at } = await inDoubt();
    at(5 * minute);
    graph.script('listMessages', fault);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
  });

  test('leaves the result unknown for a message without a copy in Sent Items', async () => {
    const { transport, at } = await inDoubt({ settings: { saveToSentItems: false } });
    const large = { ...largeMail([10]), bytes: mail.bytes };
    at(60 * minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('unknown');
  });
});

describe('a draft', () => {
  test('whose sending has no result is found among the sent items', async () => {
    const { graph, transport, at } = await inDoubt();
    const large = largeMail([3_100_000]);
    graph.script('send', faults.acceptThen());
    expect(await transport.send(large, freely)).toMatchObject({ recipients: [{ outcome: 'uncertain' }, {}] });
    at(minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('sent');
    expect(graph.deliveries).toHaveLength(2);
  });

  test('left behind by a crash is deleted, so that it is never sent beside the next one', async () => {
    const { graph, transport, at } = await inDoubt();
    const large = largeMail([3_100_000]);
    graph.script('send', faults.reset('after-body'));
    await transport.send(large, freely);
    const mailbox = graph.mailbox('sales@example.com');
    expect(mailbox.in('drafts')).toHaveLength(1);
    at(minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('unknown');
    at(3 * minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('not-sent');
    expect(mailbox.in('drafts')).toEqual([]);
  });

  test('that a person keeps under the Message-ID of a raw message is not deleted, and is no evidence', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.script('send', faults.reset('after-body'));
    await transport.send(largeMail([3_100_000]), freely);
    at(60 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt: start + 57 * minute })).toBe('not-sent');
    expect(graph.mailbox('sales@example.com').in('drafts')).toHaveLength(1);
  });

  test('of an earlier attempt is deleted before the next one is made', async () => {
    const { graph, transport } = await inDoubt();
    const large = largeMail([3_100_000]);
    graph.script('send', faults.reset('after-body'));
    await transport.send(large, freely);
    expect(await transport.send(large, freely)).toMatchObject({ recipients: [{ outcome: 'accepted' }, {}] });
    expect([graph.mailbox('sales@example.com').in('drafts'), graph.deliveries.length]).toEqual([[], 2]);
  });
});
