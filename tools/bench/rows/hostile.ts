/** Row: messages of `message.maxSize` that are written to cost time and memory: how long one step holds the loop, and how much it takes. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { composeMail } from '../../../src/message/compose.ts';
import { inlineBytes } from '../../../src/message/content.ts';
import { defaultMessageLimits, type Message } from '../../../src/message/message.ts';
import type { OutboundMessage } from '../../../src/message/outbound.ts';
import { parseMessage } from '../../../src/message/schema.ts';
import { fitForTransfer } from '../../../src/message/transfer.ts';
import { createTurns } from '../../../src/message/turns.ts';
import { finding, type Finding, type Row } from './row.ts';

const head = { from: 'a@example.com', to: 'b@example.net', subject: 'x' };
const rawHead = 'From: a@example.com\r\nTo: b@example.net\r\n';
const eightBit = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n';
const million = 1_000_000;

/** Each is a little less than the limit once it is composed. */
const messages: readonly [string, () => OutboundMessage][] = [
  ['a text of LF', () => ({ ...head, text: '\n'.repeat(9 * million) })],
  ['a text of short lines', () => ({ ...head, text: 'a\n'.repeat(8 * million) })],
  ['a text of dots', () => ({ ...head, text: '.\n'.repeat(6 * million) })],
  ['HTML of bare CR', () => ({ ...head, html: '\r'.repeat(9 * million) })],
  ['a text beyond ASCII', () => ({ ...head, text: 'é'.repeat(9 * million) })],
  ['a text in one line', () => ({ ...head, text: 'a'.repeat(24 * million) })],
  ['an attachment', () => ({ ...head, attachments: [{ content: Buffer.alloc(18 * million) }] })],
  [
    'an attached mail',
    () => ({
      ...head,
      attachments: [{ content: `${rawHead}\n${'a\n'.repeat(8 * million)}`, contentType: 'message/rfc822' }],
    }),
  ],
  ['a raw mail of bare CR', () => ({ raw: `${rawHead}\r\n${'\r'.repeat(13 * million)}` })],
  ['a raw mail of 8-bit text', () => ({ raw: `${rawHead}${eightBit}\r\n${'éé\r\n'.repeat(4 * million)}` })],
  [
    'a header of 256 KiB beyond ASCII',
    () => ({ ...head, headers: { 'X-A': Array.from({ length: 12 }, () => 'é'.repeat(5_000)) } }),
  ],
];

/** Input that is refused. */
const refused: readonly [string, () => unknown][] = [
  ['100,000 unknown keys', () => ({ ...head, ...keys(100_000) })],
  ['300,000 empty attachments', () => ({ ...head, attachments: Array.from({ length: 300_000 }, () => ({})) })],
  ['a million references', () => ({ ...head, references: Array.from({ length: million }, () => '<a@b>') })],
  ['60,000 addresses in a raw To', () => ({ raw: `From: a@b.c\r\nTo: ${'a@b,'.repeat(60_000)}\r\n\r\n` })],
  ['24 MB of LF', () => ({ ...head, text: '\n'.repeat(24 * million) })],
];

function keys(count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`key${i}`, i]));
}

interface Measured {
  readonly longestMs: number;
  /** Buffers at their most, in sizes of the mail. */
  readonly factor: number;
}

/** Of this thread: what else runs on the machine does not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** What earlier messages left behind must not be given back while this one is measured. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
}

/** Composes the message and fits it to a server without 8BITMIME. */
async function measure(message: Message): Promise<Measured> {
  await collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  let most = before;
  let longestMs = 0;
  let last = cpuMs();
  const look = async (): Promise<void> => {
    longestMs = Math.max(longestMs, cpuMs() - last);
    most = Math.max(most, process.memoryUsage().arrayBuffers);
    await new Promise((resolve) => setImmediate(resolve));
    last = cpuMs();
  };
  const options = {
    messageId: '<bench@example.com>',
    date: new Date(0),
    boundarySeed: 'bench',
    contentOf: (content: Parameters<typeof inlineBytes>[0]) => inlineBytes(content) ?? Buffer.alloc(0),
    maxBytes: defaultMessageLimits.maxBytes,
  };
  const composed = await composeMail(message, options, createTurns(look));
  await look();
  if (!composed.ok) throw new Error(composed.problem);
  await fitForTransfer(composed.value, { eightBitMime: false, smtpUtf8: false }, createTurns(look));
  await look();
  return { longestMs, factor: (most - before) / composed.value.length };
}

function worst(what: string, unit: '×' | 'ms', most: number, found: readonly (readonly [string, number])[]): Finding {
  const [name, value] = found.reduce((a, b) => (b[1] > a[1] ? b : a));
  return finding(
    { what, against: '', measured: value, unit },
    { kind: 'at most', value: most },
    `${unit === 'ms' ? 'CPU time; ' : ''}the most: ${name}`,
  );
}

export const hostile: Row = {
  id: 'hostile',
  title: 'hostile messages of the maximum size: how long one step holds the loop, and how much memory they take',
  sink: false,
  async run({ progress }) {
    const composed: [string, Measured][] = [];
    for (const [name, make] of messages) {
      const parsed = parseMessage(make(), defaultMessageLimits);
      if (!parsed.ok) throw new Error(`${name}: ${parsed.issues[0]?.message}`);
      const measured = await measure(parsed.message);
      progress(`${name}: ${measured.longestMs.toFixed(0)} ms, ${measured.factor.toFixed(1)} times its size`);
      composed.push([name, measured]);
    }
    const refusals = refused.map(([name, make]): [string, number] => {
      const input = make();
      const startedAt = cpuMs();
      if (parseMessage(input, defaultMessageLimits).ok) throw new Error(`${name} was accepted`);
      return [name, cpuMs() - startedAt];
    });
    return {
      findings: [
        worst(
          'longest step of composing',
          'ms',
          100,
          composed.map(([name, { longestMs }]) => [name, longestMs]),
        ),
        worst(
          'buffers, in sizes of the mail',
          '×',
          4,
          composed.map(([name, { factor }]) => [name, factor]),
        ),
        worst('refusing a message', 'ms', 100, refusals),
      ],
      figures: [],
    };
  },
};
