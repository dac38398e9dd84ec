/** Parses values of command-line options: times, durations, rates, counts, header fields. */
import { isIP } from 'node:net';
import { InvalidArgumentError, Option } from 'commander';
import { printable } from '../errors.ts';
import { parseAddress } from '../message/address.ts';

const maxAddresses = 100;

const msPerUnit: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `30s`, `2h`, `7d` → ms. */
export function parseDuration(text: string): number {
  const ms = durationOf(text);
  if (ms === null) throw new InvalidArgumentError('It must be a number with a unit: 500ms, 30s, 15m, 2h or 7d.');
  return ms;
}

/** An option with a duration, whose default the help shows as a user would write it. */
export function durationOption(flags: string, description: string, fallback: string): Option {
  return new Option(flags, description).argParser(parseDuration).default(parseDuration(fallback), fallback);
}

/** ISO 8601 with a zone, a date (its midnight in UTC), or a duration before now: `2h` is two hours ago. → ms since the epoch. */
export function parsePast(text: string, now: number): number {
  const ms = durationOf(text);
  return ms === null ? parseInstant(text) : now - ms;
}

/** The same, but a duration counts from now: `2h` is in two hours. */
export function parseFuture(text: string, now: number): number {
  const ms = durationOf(text);
  return ms === null ? parseInstant(text) : now + ms;
}

/** `20/s`, `600/m` → ms from one to the next. */
export function parseRate(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})\/([sm])$/.exec(text) ?? [];
  if (count === '') throw new InvalidArgumentError('It must be a number per second or minute: 20/s or 600/m.');
  return (msPerUnit[unit] ?? 0) / Number(count);
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
}

/** For a repeatable option. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** The same, for a repeatable option that takes bare addresses. */
export function collectAddress(value: string, before: readonly string[] | undefined): readonly string[] {
  const parsed = parseAddress(value);
  if (!parsed.ok) throw new InvalidArgumentError(`"${printable(value, 80)}" is not an address such as a@example.com.`);
  if ((before?.length ?? 0) >= maxAddresses) throw new InvalidArgumentError(`At most ${maxAddresses} addresses.`);
  return collect(parsed.value, before);
}

export interface DnsServerOption {
  readonly host: string;
  readonly port: number;
}

/** `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`, `dns.example.com:53`. */
export function parseDnsServer(text: string): DnsServerOption {
  const [, six, plain, port = '53'] = /^(?:\[([0-9a-f:.]+)\]|([^\s:[\]]{1,253}))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = six ?? plain ?? '';
  const number = Number(port);
  const fits = number >= 1 && number <= 65_535 && (six === undefined ? /^[\w.-]+$/.test(host) : isIP(six) === 6);
  if (!fits) throw new InvalidArgumentError('It must be a host and a port: 192.0.2.1:53 or [2001:db8::1]:53.');
  return { host, port: number };
}

/** `Name: value` → its two parts. The message schema decides whether they may be sent. */
export function parseHeader(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw new InvalidArgumentError(`"${printable(text, 60)}" is not a header field; write it as "Name: value".`);
  }
  return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
}

function durationOf(text: string): number | null {
  const [, count = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === '' ? null : Number(count) * (msPerUnit[unit] ?? 0);
}

/** A time zone is required: without one, a time would mean something else on every machine. */
function parseInstant(text: string): number {
  const iso = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;
  const ms = iso.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError(
      'It must be an ISO 8601 time with a time zone (2030-01-31T08:00:00Z) or a duration (2h, 7d).',
    );
  }
  return ms;
}
