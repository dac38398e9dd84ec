/**
 * The message as it goes into the queue: as the client sent it, with a Received field in front, a From if it had none, and without Bcc
 * and the options. Date and Message-ID are added when it is composed for sending, the same as for every raw message.
 *
 * What is added stands in front, where no signature covers it (RFC 6376 section 5.4.2); every other byte stays.
 */
import { isIPv6 } from 'node:net';
import { headerStart, readHeaderBlock, type HeaderBlock } from '../message/header-block.ts';
import { optionPrefix } from './options.ts';

export interface Hop {
  /** As the client calls itself. */
  readonly helo: string;
  /** Its address. */
  readonly address: string;
  readonly hostname: string;
  /** RFC 3848 and RFC 6531 section 4.3: ESMTPSA and so on. */
  readonly protocol: string;
  /** null without TLS. */
  readonly tls: { readonly version: string; readonly cipher: string } | null;
  readonly id: string;
  /** Named if it is the only one: of several, each would learn of the others. */
  readonly recipients: readonly string[];
  readonly at: Date;
}

/** RFC 5321 section 6.3: a loop is to be found out by counting; a hundred at least are allowed on the way of a mail. */
export const maxHops = 100;

/** RFC 5321 section 4.4. */
export function receivedField({ helo, address, hostname, protocol, tls, id, recipients, at }: Hop): string {
  // Whatever else a client calls itself could be taken for a part of the field.
  const name = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?|\[[0-9A-Fa-f.:IPv]{2,60}\])$/.test(helo)
    ? helo
    : 'unknown';
  const literal = isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
  const [only] = recipients;
  const lines = [
    `Received: from ${name} (${literal})`,
    ...(tls === null ? [] : [`(using ${tls.version} with cipher ${tls.cipher})`]),
    `by ${hostname} with ${protocol} id ${id}`,
    ...(recipients.length === 1 && only !== undefined ? [`for <${only}>`] : []),
  ];
  return `${lines.join('\r\n\t')};\r\n\t${at.toUTCString().replace('GMT', '+0000')}\r\n`;
}

export interface ReadMail {
  readonly start: number;
  readonly header: HeaderBlock;
}

/** A mail that begins with an empty line has no header, and gets one. */
export function readMail(bytes: Buffer): ReadMail {
  const start = headerStart(bytes);
  return { start, header: readHeaderBlock(bytes, start) };
}

export function valueOf({ fields }: HeaderBlock, name: string): string | null {
  return fields.find((field) => field.name.toLowerCase() === name)?.value ?? null;
}

export function countHops({ fields }: HeaderBlock): number {
  return fields.filter(({ name }) => name.toLowerCase() === 'received').length;
}

/** `added`: whole fields, with their line ends. */
export function writeMail(bytes: Buffer, { start, header }: ReadMail, added: string): Buffer {
  const pieces: Buffer[] = [Buffer.from(added)];
  let at = start;
  for (const { name, start: from, end } of header.fields) {
    const lower = name.toLowerCase();
    if (lower !== 'bcc' && lower !== 'resent-bcc' && !lower.startsWith(optionPrefix)) continue;
    pieces.push(bytes.subarray(at, from));
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}
