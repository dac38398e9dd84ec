/** Types of single values in the configuration file, as zod schemas that name their rule. */
import { X509Certificate } from 'node:crypto';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { asciiDomain, parseAddressPattern, parseMailbox } from '../message/address.ts';
import type { Mailbox } from '../message/message.ts';
import type { ConfigRule } from './issues.ts';
import { parsePasswordHash } from './password-hash.ts';
import { parseBytesPerWindow, parseDurationMs, parsePercent, parseSizeBytes } from './units.ts';

export type Reading<T> = { readonly value: T } | { readonly must: string };

/** Text that `read` converts, or refuses with a sentence that begins with "must" or "has". */
export function textAs<T>(rule: ConfigRule, read: (text: string) => Reading<T>, wrongType?: string) {
  // Editors and the docs show the title as the type.
  return z
    .string(wrongType)
    .meta({ title: rule })
    .transform((text, context): T => {
      const reading = read(text);
      if ('value' in reading) return reading.value;
      context.addIssue({ code: 'custom', message: reading.must, params: { rule } });
      return z.NEVER;
    });
}

const dayMs = 86_400_000;

/** Milliseconds. `maxDays` keeps timers within the 24 days of setTimeout, and stored times within reason. */
export function duration(maxDays: 1 | 20 | 3650) {
  const must = 'must be a whole number above 0 and a unit: 500ms, 30s, 15m, 24h or 7d';
  const read = (text: string): Reading<number> => {
    const value = parseDurationMs(text);
    if (value === null) return { must };
    return value > maxDays * dayMs ? { must: `must not be longer than ${maxDays}d` } : { value };
  };
  return textAs('duration', read, must);
}

/** The same, or 0 for nothing: `0s`. */
export function durationOrNone(maxDays: 1 | 3650) {
  const must = 'must be 0s, or a whole number above 0 and a unit: 500ms, 30s, 15m, 24h or 7d';
  const read = (text: string): Reading<number> => {
    const value = /^0(?:ms|s|m|h|d)$/.test(text) ? 0 : parseDurationMs(text);
    if (value === null) return { must };
    return value > maxDays * dayMs ? { must: `must not be longer than ${maxDays}d` } : { value };
  };
  return textAs('duration', read, must);
}

/** Bytes: a number of them, or text with a unit. */
export const size = z
  .union([z.int().min(1), z.string()])
  .meta({ title: 'size' })
  .transform((input, context): number => {
    const value = typeof input === 'number' ? input : parseSizeBytes(input);
    if (value !== null) return value;
    const message = 'must be a number of bytes above 0, or one with a unit: 512KiB, 25MiB or 25MB';
    context.addIssue({ code: 'custom', message, params: { rule: 'size' satisfies ConfigRule } });
    return z.NEVER;
  });

/** A size per duration. Providers' windows last from minutes to a day; below a second it would be a rate. */
export const bytesPerWindow = textAs('bytes-per-window', (text): Reading<{ bytes: number; windowMs: number }> => {
  const value = parseBytesPerWindow(text);
  if (value === null) return { must: 'must be a size, a slash and a duration: 150MB/5m' };
  const within = value.windowMs >= 1_000 && value.windowMs <= dayMs;
  return within ? { value } : { must: 'must have a window of at least 1s and at most 1d' };
});

/** Of `maxmemory`: above 90 hardly anything could be enqueued. */
export const percent = textAs('percent', (text): Reading<number> => {
  const value = parsePercent(text);
  return value === null || value > 90
    ? { must: 'must be a whole number from 0 to 90 and a percent sign: 20%' }
    : { value };
});

export const port = z.int().min(1).max(65_535);

export const text = z.string().min(1);

/** The same as `text`; the name marks values that must never be printed. */
export const secret = z.string().min(1);

/** A number in YAML unless it has an x in it. */
export const replyCode = z.union([z.int(), z.string()]).meta({ title: 'reply code' }).transform(String);

/** A host to connect to. Underscores are allowed, as names of containers have them. */
export const host = textAs('host', (text): Reading<string> => {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (isIP(bare) !== 0) return { value: bare };
  const ascii = asciiDomain(text.replaceAll('_', '-').replace(/\.$/, ''));
  if (ascii === null) return { must: 'must be a DNS name or an IP address, without a scheme or a port' };
  return { value: text.includes('_') ? text.toLowerCase() : ascii };
});

/** Where to listen: a host and a port, of which 0 is a free one. */
function readListen(text: string): Reading<{ readonly host: string; readonly port: number }> {
  const must = 'must be a host and a port: 127.0.0.1:9464, [::1]:9464, or 0.0.0.0:9464 for every address';
  const [, name = '', digits = ''] = /^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):(\d{1,5})$/.exec(text) ?? [];
  const bare = name.startsWith('[') ? name.slice(1, -1) : name;
  const known = name.startsWith('[')
    ? isIPv6(bare)
    : isIPv4(bare) || asciiDomain(bare) !== null || bare === 'localhost';
  return known && Number(digits) <= 65_535 ? { value: { host: bare, port: Number(digits) } } : { must };
}

export const listen = textAs('listen', readListen);

export const listenOrNone = textAs('listen', (text): Reading<{ readonly host: string; readonly port: number } | null> =>
  text === 'none' ? { value: null } : readListen(text),
);

/** The end of a day in UTC, in ms since the epoch. */
export const date = textAs('date', (text): Reading<number> => {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  const exists = Number.isFinite(start) && new Date(start).toISOString().startsWith(text);
  return exists ? { value: start + dayMs - 1 } : { must: 'must be a day: 2027-06-30' };
});

/** The name in EHLO: RFC 5321 section 4.1.1.1 requires the client's DNS name, or an address literal if it has none. */
export const ehloName = textAs('hostname', (text): Reading<string> => {
  const must =
    'must be the external DNS name of this machine, such as mail.example.com, or an address literal ([192.0.2.1])';
  if (text.startsWith('[')) {
    const inner = text.endsWith(']') ? text.slice(1, -1) : '';
    const literal = inner.startsWith('IPv6:') ? isIPv6(inner.slice('IPv6:'.length)) : isIPv4(inner);
    return literal ? { value: text } : { must };
  }
  const ascii = asciiDomain(text);
  return ascii === null ? { must } : { value: ascii };
});

export const addressPattern = textAs('address-pattern', (text): Reading<string> => {
  const parsed = parseAddressPattern(text);
  return parsed.ok ? { value: parsed.value } : { must: `${parsed.problem}; write an address or *@domain` };
});

export const mailbox = textAs('address', (text): Reading<Mailbox> => {
  const parsed = parseMailbox(text);
  return parsed.ok ? { value: parsed.value } : { must: `${parsed.problem}; write one address, or "Name <address>"` };
});

/** A password may hold what means something in a URL, and base64 holds a slash about every second time. */
const encodePassword = 'percent-encode / # ? @ : and % in the password, or use redis.password';

export const redisUrl = textAs('url', (text): Reading<string> => {
  const example = 'redis://127.0.0.1:6379 or rediss://user:password@host:6380/0';
  const must = `must be a Redis URL such as ${example}; ${encodePassword}`;
  const url = URL.parse(text);
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') return { must };
  return isDecodable(url.username) && isDecodable(url.password)
    ? { value: text }
    : { must: `must not have a % in the user or password that encodes nothing; ${encodePassword}` };
});

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== null;
  } catch {
    return false;
  }
}

/** One of several servers. User and database are the same for all, and have keys of their own. */
export const redisNode = textAs('url', (text): Reading<string> => {
  const must = 'must be redis://host:port or rediss://host:port, without user, password or database';
  const url = URL.parse(text);
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') return { must };
  const bare = url.username === '' && url.password === '' && url.search === '' && ['', '/'].includes(url.pathname);
  return bare ? { value: text } : { must };
});

/** One `{tag}` that is not empty: Redis Cluster hashes only the text between the first brace and the next closing one. */
export const redisPrefix = textAs('prefix', (text): Reading<string> =>
  /^[A-Za-z0-9_.:-]{0,64}\{[A-Za-z0-9_.-]{1,64}\}[A-Za-z0-9_.:-]{0,64}$/.test(text)
    ? { value: text }
    : {
        must: 'must contain exactly one name in braces, such as {postlane}, and otherwise only letters, digits and _ . : -',
      },
);

/** A GUID or a domain that becomes part of a URL, so it has no characters that separate parts of one. */
export const tenant = textAs('tenant', (text): Reading<string> =>
  /^[^\s/?#%\\@:]{1,253}$/.test(text) && !/^\.+$/.test(text)
    ? { value: text }
    : { must: 'must be the id or domain that the Entra portal shows, without spaces or slashes' },
);

/** Scheme, host and port; the path is not configurable. */
export const httpsOrigin = textAs('origin', (text): Reading<string> => {
  const url = URL.parse(text);
  const plain = url !== null && url.protocol === 'https:' && `${url.origin}/` === url.href;
  return plain ? { value: url.origin } : { must: 'must be https:// and a host, with nothing after it but a port' };
});

/** PEM text of a certificate and its private key. */
export const keyPair = textAs('certificate', (text): Reading<string> =>
  /-----BEGIN CERTIFICATE-----/.test(text) && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
    ? { value: text }
    : {
        must: 'must be a certificate and its private key as PEM text, such as ${file:app.pem}, or the path of a .pem file',
      },
);

/** PEM text of a private key. */
export const privateKey = textAs('certificate', (text): Reading<string> =>
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
    ? { value: text }
    : { must: 'must be a private key as PEM text, such as ${file:key.pem}, or the path of a .pem or .key file' },
);

/** The key of a Google service account, as downloaded. */
export const serviceAccount = textAs('service-account', (text): Reading<string> => {
  const must = 'must be the JSON key of a Google service account, such as ${file:key.json}';
  try {
    const key = JSON.parse(text) as Record<string, unknown> | null;
    const good = typeof key?.['client_email'] === 'string' && typeof key['private_key'] === 'string';
    return good ? { value: text } : { must };
  } catch {
    return { must };
  }
});

/** PEM text; a path was replaced with the file's text before. Every certificate in it must parse. */
export const certificates = textAs('certificate', (text): Reading<string> => {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const good = blocks.every((block) => {
    try {
      return new X509Certificate(block).subject !== undefined;
    } catch {
      return false;
    }
  });
  if (blocks.length > 0 && good) return { value: text };
  return { must: 'must be certificates as PEM text, such as ${file:ca.pem}, or the path of a .pem or .crt file' };
});

/** The name of a user: what can stand in a log and in a key without being encoded, an e-mail address for example. */
export const userName = textAs('user-name', (text): Reading<string> =>
  /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/.test(text)
    ? { value: text }
    : { must: 'must have 1 to 128 letters, digits and . _ @ + -, and begin with a letter or digit' },
);

/** What `postlane password` prints. */
export const passwordHash = textAs('password-hash', (text): Reading<string> =>
  parsePasswordHash(text) === null
    ? { must: 'must be a hash that `postlane password` has printed, and never the password itself' }
    : { value: text },
);

/** An address, or a network in CIDR form; never all addresses, nor half of them. */
export const network = textAs(
  'network',
  (text): Reading<{ readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' }> => {
    const [, address = '', digits] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const version = isIP(address);
    if (version === 0) return { must: 'must be an IP address or a network in CIDR form: 10.0.0.0/24' };
    const bits = version === 4 ? 32 : 128;
    const prefix = digits === undefined ? bits : Number(digits);
    if (prefix > bits) return { must: `must have a prefix of at most ${bits}` };
    if (prefix < 7) return { must: 'must have a prefix of at least 7: a network is not half of the internet' };
    return { value: { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' } };
  },
);

/** Stands in logs, in keys of Redis and in URLs. */
export const tokenId = textAs('token-id', (text): Reading<string> =>
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text)
    ? { value: text }
    : { must: 'must have 1 to 64 letters, digits and . _ -, and begin with a letter or digit' },
);

export const sha256 = textAs('sha256', (text): Reading<string> =>
  /^[0-9a-f]{64}$/.test(text)
    ? { value: text }
    : {
        must: 'must be 64 lower-case hexadecimal digits, as `postlane token new` prints them, and never the token itself',
      },
);

/** How a certificate of a server is verified, of SMTP and of IMAP alike. */
export const serverTls = z
  .strictObject({
    ca: certificates
      .optional()
      .describe(
        'Private CAs instead of the public ones: PEM text (normally `${file:ca.pem}`), or the path of a `.pem` or `.crt` file.',
      ),
    servername: host.optional().describe('Name that the certificate must contain. Default: `host`.'),
  })
  .prefault({})
  .describe('How the server’s certificate is verified. Verification cannot be turned off.');
