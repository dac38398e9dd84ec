/** Which events an endpoint gets, and what they say. */
import { expect, test } from 'vitest';
import type { StoredEvent } from '../../src/queue/journal/events.ts';
import { eventTypes } from '../../src/queue/journal/events.ts';
import { bodyOf, isWanted, wantsOf } from '../../src/webhooks/payload.ts';
import { goodConfig } from '../config/load-text.ts';
import { newSecret } from '../support/receiver.ts';

const recipient = { address: 'you@example.net', outcome: 'accepted', code: '250', reply: '250 you@example.net ok' };
const sent: StoredEvent = {
  type: 'message.sent',
  cursor: '1-0',
  eventId: '0-1-0',
  at: Date.parse('2026-11-27T06:10:11.123Z'),
  id: 'm1',
  sequence: 4,
  state: 'sent',
  connector: 'sales',
  attempt: 1,
  detail: '250 you@example.net ok',
  reason: null,
  messageId: '<m1.h@example.com>',
  metadata: { orderId: '4711' },
  recipients: [recipient],
};
const dataOf = (body: string) => (JSON.parse(body) as { data: Record<string, unknown> }).data;

test('the form of the documentation', () => {
  expect(JSON.parse(bodyOf(sent, { types: ['*'], recipients: 'full' }))).toEqual({
    type: 'message.sent',
    timestamp: '2026-11-27T06:10:11.123Z',
    data: {
      id: 'm1',
      sequence: 4,
      state: 'sent',
      connector: 'sales',
      attempt: 1,
      detail: '250 you@example.net ok',
      reason: null,
      messageId: 'm1.h@example.com',
      metadata: { orderId: '4711' },
      recipients: [recipient],
    },
  });
});

test('masked and left out, no address is in the body, not in a reply either', () => {
  const masked = bodyOf(sent, { types: ['*'], recipients: 'masked' });
  expect(masked).not.toContain('you@');
  expect(dataOf(masked)['recipients']).toEqual([
    { address: '***@example.net', outcome: 'accepted', code: '250', reply: null },
  ]);
  const none = bodyOf(sent, { types: ['*'], recipients: 'none' });
  expect(none).not.toContain('example.net');
});

test('a body stays below 20 kB: without replies first, then without recipients, then without metadata', () => {
  const many = (count: number, reply: string): StoredEvent => ({
    ...sent,
    recipients: Array.from({ length: count }, () => ({ ...recipient, reply })),
  });
  const wish = { types: ['*'], recipients: 'full' } as const;
  const shapes = [many(10, 'x'), many(100, 'x'.repeat(300)), many(1_000, 'x')].map((event) => bodyOf(event, wish));
  for (const body of shapes) expect(Buffer.byteLength(body)).toBeLessThan(20_000);
  expect((dataOf(shapes[0]!)['recipients'] as unknown[]).length).toBe(10);
  expect((dataOf(shapes[1]!)['recipients'] as { reply: unknown }[])[0]!.reply).toBeNull();
  expect(dataOf(shapes[2]!)).toMatchObject({ recipients: null, metadata: { orderId: '4711' } });
  const wide: StoredEvent = { ...sent, metadata: { k: '€'.repeat(10_000) }, detail: null };
  expect(dataOf(bodyOf(wide, wish))).toMatchObject({ id: 'm1', metadata: {} });
  expect(dataOf(bodyOf({ ...sent, detail: 'x'.repeat(30_000) }, wish))).toEqual({ id: 'm1', sequence: 4 });
});

test('the configuration takes every type of events that there is', async () => {
  const config = `hostname: mail.example.com
systemDefaultGateway: relay
connectors: { relay: { direction: outgoing, smtp: { host: smtp.example.com } } }
webhooks: [{ id: crm, url: https://crm.example.com/, secret: ${newSecret()}, types: ${JSON.stringify(eventTypes)} }]
`;
  expect((await goodConfig(config)).webhooks[0]!.types).toEqual(eventTypes);
});

test('an acceptance is sent only where it is named, a gap always', () => {
  const wanted = (type: string, ...types: string[]): boolean => isWanted({ type } as StoredEvent, { types });
  expect(wanted('message.sent', 'message.*')).toBe(true);
  expect(wanted('message.sent', 'message.dead', 'connector.*')).toBe(false);
  expect(wanted('connector.fault', '*')).toBe(true);
  expect(wanted('message.accepted', '*', 'message.*')).toBe(false);
  expect(wanted('message.accepted', 'message.accepted')).toBe(true);
  expect(wanted('gap', 'message.dead')).toBe(true);
  expect(wantsOf({ types: ['message.*'] })).toBe('results');
  expect(wantsOf({ types: ['message.accepted'] })).toBe('all');
});
