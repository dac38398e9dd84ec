/** Holds every request of the Graph transport to the description of the API: small and large messages, verifications, checks. */
import { expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import type { FakeGraph } from '../../../testkit/graph/fake-graph.ts';
import { inlineBytes } from '../../../src/message/content.ts';
import type { Content, Message } from '../../../src/message/message.ts';
import type { OutgoingMail } from '../../../src/transport/transport.ts';
import { apiProblems } from '../../support/graph-api-check.ts';
import { freely, graphPair } from '../../support/graph-client.ts';
import { composedMail } from '../../support/compose.ts';

const contentOf = (content: Content): Buffer => inlineBytes(content) ?? Buffer.alloc(0);
const rangeOf = (content: Content, start: number, end: number): Buffer => contentOf(content).subarray(start, end);

/** A message with all that Graph's JSON has a place for. */
async function mailWith(attachmentBytes: readonly number[]): Promise<OutgoingMail> {
  const message: Message = {
    from: { name: 'O\'Neil, "x" @home', address: 'sales@example.com' },
    to: [{ name: 'Zoë 🦄', address: "o'neil+tag@example.net" }],
    cc: [{ address: 'cc@example.net' }],
    bcc: [{ address: 'bcc@example.net' }],
    replyTo: [{ address: 'reply@example.com' }],
    subject: '🦄 ünï',
    text: 'hi',
    html: '<p>hi</p>',
    attachments: attachmentBytes.map((size, at) => ({
      content: Buffer.alloc(size, at + 1).toString('base64'),
      encoding: 'base64',
      filename: `größe ${at}.bin`,
      contentType: 'application/octet-stream',
      disposition: 'attachment',
    })),
    headers: { 'X-One': ['1'], 'List-Id': ['<x>'] },
    references: [],
    envelope: { to: ["o'neil+tag@example.net", 'cc@example.net', 'bcc@example.net'] },
    priority: 'high',
  };
  const id = "<o'neil+1/2%20@example.com>";
  const bytes = await composedMail(message, { messageId: id, date: new Date(0), boundarySeed: 'm', contentOf });
  return { id: 'm', envelope: message.envelope, bytes, structured: { message, contentOf, rangeOf } };
}

function calls({ requests }: FakeGraph): string[] {
  return [...new Set(requests.map(({ operation }) => operation))];
}

test('a small message sent as MIME matches the API', async () => {
  const { graph, transport } = await graphPair();
  await transport.send(await mailWith([10]), freely);
  expect(graph.deliveries).toHaveLength(3);
  expect(apiProblems(graph.requests)).toEqual([]);
});

test('a small message sent as JSON without a copy matches the API', async () => {
  const { graph, transport } = await graphPair({ settings: { saveToSentItems: false } });
  await transport.send(await mailWith([10]), freely);
  expect(graph.deliveries).toHaveLength(3);
  expect(apiProblems(graph.requests)).toEqual([]);
});

test('a large message whose upload is interrupted twice matches the API', async () => {
  const { graph, transport } = await graphPair();
  graph.script('uploadRange', faults.reset('mid-body'), null, null, faults.reset('after-work'));
  const sizes = [1_000, 2_000_000, 3_500_000, 7_000_000];
  const outcome = await transport.send(await mailWith(sizes), freely);
  expect(outcome).toMatchObject({ recipients: [{ outcome: 'accepted' }, {}, {}] });
  const [copy] = graph.deliveries;
  const received = copy?.message.attachments.map(({ chunks }) => Buffer.concat(chunks));
  const whole = sizes.map((size, at) => Buffer.alloc(size, at + 1));
  expect(received?.length).toBe(whole.length);
  for (const bytes of whole) expect(received?.some((each) => each.equals(bytes))).toBe(true);
  expect(graph.deliveries).toHaveLength(3);
  expect(calls(graph)).toEqual(expect.arrayContaining(['createUploadSession', 'uploadRange', 'send']));
  expect(apiProblems(graph.requests)).toEqual([]);
});

test('a verification, and the removal of what an attempt left behind, match the API', async () => {
  const { graph, transport } = await graphPair();
  const mail = await mailWith([10]);
  graph.script('sendMail', faults.acceptThen(504));
  expect(await transport.send(mail, freely)).toMatchObject({ recipients: [{ outcome: 'uncertain' }, {}, {}] });
  const attemptedAt = Date.now();
  expect(await transport.verify?.(mail, { signal: freely.signal, attemptedAt })).toBe('sent');
  expect(apiProblems(graph.requests)).toEqual([]);
});

test('a check matches the API', async () => {
  const { graph, transport } = await graphPair();
  expect(await transport.check(freely.signal)).toMatchObject({ ok: true });
  expect(graph.deliveries).toEqual([]);
  expect(apiProblems(graph.requests)).toEqual([]);
});
