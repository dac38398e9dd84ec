/** Odd but legal content of the soak's messages: what real senders write, and what mail programs damage. */
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { SeededRandom } from './seeded-random.ts';

/** All 256 octets, with each line end that a line-oriented protocol could touch. */
const octets = Buffer.from([...Array.from({ length: 256 }, (_, at) => at), 0x0a, 0x0d, 0x0d, 0x0a, 0x2e, 0x0a]);

/** BullMQ's names for its own keys, and numbers, which it takes for ids that it gave itself. */
const keyWords = [
  'wait',
  'active',
  'delayed',
  'prioritized',
  'marker',
  'meta',
  'id',
  'pc',
  'events',
  'limiter',
] as const;

interface Plain {
  readonly tag: string;
  readonly from: string;
  readonly to: readonly string[];
}

/** What makes the message odd, or nothing. */
export type Oddities = (message: Plain) => Partial<OutboundMessage>;

export function createOddities(random: SeededRandom): Oddities {
  const words = [...keyWords];
  const kinds: Readonly<Record<string, Oddities>> = {
    'binary part': ({ tag, from, to }) => ({ ...noFields, envelope: { to }, raw: withBinaryPart(tag, from, to) }),
    'beyond ASCII': ({ tag }) => ({
      subject: `Grüße 🎉 ${'ü'.repeat(300)} ${tag}`,
      text: `${'é'.repeat(2_000)}\n${tag}`,
      replyTo: 'Jürgen Müller <juergen@example.net>',
    }),
    'odd line ends': ({ tag }) => ({ text: `a\rb\nc\r\n.\r\n..\n\n${tag}${'\n'.repeat(500)}` }),
    'odd references': ({ tag }) => ({
      inReplyTo: '<no-at-sign>',
      references: ['<a@example.net><b@example.net>', '<@>', `<${tag}@example.net>`, 'bare@example.net'],
    }),
    // Each once: a second message with the same id would be a duplicate.
    'a word as id': () => (words.length === 0 ? {} : { id: words.pop() }),
    'a number as id': ({ tag }) => ({ id: tag.slice(1) }),
    'long values': ({ tag }) => ({ subject: `${tag} ${'long '.repeat(150)}`, headers: { 'X-Long': 'x'.repeat(900) } }),
  };
  const names = Object.keys(kinds) as [string, ...string[]];
  return (message) => (random.is('odd', 0.2) ? (kinds[random.pick('oddity', names)]?.(message) ?? {}) : {});
}

/** `raw` takes the place of all content fields. */
const noFields = { from: undefined, to: undefined, subject: undefined, text: undefined, attachments: undefined };

function withBinaryPart(tag: string, from: string, to: readonly string[]): Buffer {
  const header = [
    `From: ${from}`,
    `To: ${to[0]}`,
    `Subject: soak ${tag}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: application/octet-stream',
    'Content-Transfer-Encoding: binary',
  ];
  return Buffer.concat([Buffer.from(`${header.join('\r\n')}\r\n\r\n`), octets, Buffer.from('\r\n--b--\r\n')]);
}
