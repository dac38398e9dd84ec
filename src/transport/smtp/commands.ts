/** The commands of a transaction (RFC 5321 section 4.1.1), as bytes for the wire. No address can break out of one. */
import { parseAddress } from '../../message/address.ts';
import type { DsnRequest } from '../transport.ts';
import { mailDsn, rcptDsn } from './dsn.ts';
import type { Omissible } from './transaction-limits.ts';
import type { SmtpExtensions } from './extensions.ts';

export interface SmtpEnvelope {
  /** '' is the null reverse-path. */
  readonly from: string;
  readonly to: readonly string[];
  /** Bytes of the message before dot-stuffing (RFC 1870 section 5). */
  readonly size: number;
  readonly use8BitMime: boolean;
  /** A header of the message is UTF-8. */
  readonly useSmtpUtf8: boolean;
  readonly dsn: DsnRequest | null;
}

/**
 * Whether an address can be written as a path (RFC 5321 section 4.1.2); '' is the null reverse-path. The producer accepts addresses by
 * the same function, so that none is accepted that could not be sent: a quoted local part may have blanks.
 */
export function isPath(address: string): boolean {
  return address === '' || parseAddress(address).ok;
}

export function isAscii(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the whole ASCII range
  return /^[\u0000-\u007f]*$/.test(text);
}

/** The parameters of MAIL FROM, by the extension that each belongs to. */
export function mailParameters(
  { from, to, size, use8BitMime, useSmtpUtf8, dsn }: SmtpEnvelope,
  extensions: SmtpExtensions,
): ReadonlyMap<Exclude<Omissible, 'pipelining'>, string> {
  const parameters = new Map<Exclude<Omissible, 'pipelining'>, string>();
  // RFC 6531 section 3.4: needed for every envelope address and every header beyond ASCII.
  if (extensions.smtpUtf8 && (useSmtpUtf8 || !isAscii(from) || !to.every(isAscii)))
    parameters.set('smtpUtf8', 'SMTPUTF8');
  if (extensions.eightBitMime && use8BitMime) parameters.set('eightBitMime', 'BODY=8BITMIME');
  if (extensions.size && size > 0) parameters.set('size', `SIZE=${size}`);
  const asked = extensions.dsn && dsn !== null ? mailDsn(dsn) : [];
  if (asked.length > 0) parameters.set('dsn', asked.join(' '));
  return parameters;
}

export function mailCommand(envelope: SmtpEnvelope, extensions: SmtpExtensions): string {
  return `${[`MAIL FROM:<${path(envelope.from)}>`, ...mailParameters(envelope, extensions).values()].join(' ')}\r\n`;
}

/** `dsn`: null where it is not asked for, or not offered. */
export function rcptCommand(address: string, dsn: DsnRequest | null): string {
  if (address === '') throw new TypeError('a recipient without an address');
  const asked = dsn === null ? [] : rcptDsn(address, dsn);
  return `${[`RCPT TO:<${path(address)}>`, ...asked].join(' ')}\r\n`;
}

export const dataCommand = 'DATA\r\n';

/** Callers refuse such addresses earlier; this holds whatever the caller does. What is written is the normal form. */
function path(address: string): string {
  if (address === '') return address;
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new TypeError('an address that would not stay within its angle brackets');
  return parsed.value;
}
