/** The message that every contender sends: plain text of a given size to one recipient, from one of ten senders. */

export interface BenchMail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

export const smallBytes = 4_096;
export const largeBytes = 102_400;

/** Senders, and so connectors: `x00` … `x09`. Of fixed width, so that a copy of a message can be given to another one. */
export function connectorId(nth: number): string {
  return `x${String(nth).padStart(2, '0')}`;
}

/** The `nth` mail of a series. */
export function mailOf(nth: number, bytes = smallBytes, senders = 10): BenchMail {
  return {
    from: `news@${connectorId(nth % senders)}.bench.test`,
    to: `reader${nth}@example.net`,
    subject: 'Your order is on its way',
    text: textOf(bytes),
  };
}

export function mailsOf(count: number, bytes = smallBytes, senders = 10): BenchMail[] {
  const text = textOf(bytes);
  return Array.from({ length: count }, (_, nth) => ({ ...mailOf(nth, 0, senders), text }));
}

/** Lines of 76 characters, as programs write them: none of them needs an encoding. */
function textOf(bytes: number): string {
  const line = `${'The quick brown fox jumps over the lazy dog and counts what it has found. '.repeat(2).slice(0, 76)}\n`;
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes);
}

/** The finished message of the peers that compose nothing. */
export function bytesOf({ from, to, subject, text }: BenchMail): string {
  const head = [`From: ${from}`, `To: ${to}`, `Subject: ${subject}`, `Message-ID: <${to}>`, 'MIME-Version: 1.0'];
  return `${[...head, `Date: ${new Date().toUTCString()}`, 'Content-Type: text/plain; charset=us-ascii'].join('\r\n')}\r\n\r\n${text.replaceAll('\n', '\r\n')}\r\n`;
}

/** Keys of bodies, for rows that seal them. */
export const benchKeys = { active: 'k1', keys: { k1: Buffer.alloc(32, 'bench').toString('base64') } };
