/** Attempts without a result: what a look into the mailbox finds, and what is left there afterwards. */
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

describe('a look', () => {
  test('finds what was accepted although the answer was 504', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.script('sendMail', faults.acceptThen());
    expect(await transport.send(mail, freely)).toMatchObject({ recipients: [{ outcome: 'uncertain' }] });
    at(minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('sent');
  });

  test('says «not sent» only once a copy would have shown', async () => {
    const { graph, transport, at } = await inDoubt();
    graph.script('sendMail', faults.gatewayTimeout());
    await transport.send(mail, freely);
    at(minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
    at(3 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('not-sent');
  });

  test('waits for a copy that is late, and for one that is parked among the drafts', async () => {
    const { graph, transport, at } = await inDoubt({ sentItems: 'in drafts' });
    graph.script('sendMail', faults.acceptThen());
    await transport.send(mail, freely);
    at(5 * minute);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
    expect(graph.count('deleteMessage')).toBe(0);
    graph.releaseSentItems();
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('sent');
  });

  test('is not content with a copy that went to others before', async () => {
    const { transport, at } = await inDoubt();
    await transport.send(mail, freely);
    at(60 * minute);
    const replay = mailTo(['b@example.net'], ['To: a@example.net, b@example.net']);
    expect(await transport.verify?.(replay, { signal, attemptedAt: start + 57 * minute })).toBe('not-sent');
  });

  test('is content with a young copy to as many, as Exchange may show an alias by its main address', async () => {
    const { transport, at } = await inDoubt();
    await transport.send(mail, freely);
    at(minute);
    const alias = mailTo(['alias@example.net'], ['To: alias@example.net']);
    expect(await transport.verify?.(alias, { signal, attemptedAt })).toBe('sent');
    const more = mailTo(['b@example.net', 'c@example.net']);
    expect(await transport.verify?.(more, { signal, attemptedAt })).toBe('unknown');
  });

  test('that may not be taken says so', async () => {
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
  ])('that comes to nothing leaves it unknown: %s', async (_name, fault) => {
    const { graph, transport, at } = await inDoubt();
    at(5 * minute);
    graph.script('listMessages', fault);
    expect(await transport.verify?.(mail, { signal, attemptedAt })).toBe('unknown');
  });

  test('finds a message without a copy in Sent Items neither sent nor not sent', async () => {
    const { transport, at } = await inDoubt({ settings: { saveToSentItems: false } });
    const large = { ...largeMail([10]), bytes: mail.bytes };
    at(60 * minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('unknown');
  });
});

describe('a draft', () => {
  test('whose sending is in doubt is found sent', async () => {
    const { graph, transport, at } = await inDoubt();
    const large = largeMail([3_100_000]);
    graph.script('send', faults.acceptThen());
    expect(await transport.send(large, freely)).toMatchObject({ recipients: [{ outcome: 'uncertain' }, {}] });
    at(minute);
    expect(await transport.verify?.(large, { signal, attemptedAt })).toBe('sent');
    expect(graph.deliveries).toHaveLength(2);
  });

  test('that a crash has left behind is deleted, so that it is never sent beside the next', async () => {
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

  test('of an earlier attempt is gone before the next one is made', async () => {
    const { graph, transport } = await inDoubt();
    const large = largeMail([3_100_000]);
    graph.script('send', faults.reset('after-body'));
    await transport.send(large, freely);
    expect(await transport.send(large, freely)).toMatchObject({ recipients: [{ outcome: 'accepted' }, {}] });
    expect([graph.mailbox('sales@example.com').in('drafts'), graph.deliveries.length]).toEqual([[], 2]);
  });
});
