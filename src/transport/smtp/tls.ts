/** TLS of an SMTP session: what is asked of the server, and what a failed handshake means in words. Pure. */
import net from 'node:net';
import type tls from 'node:tls';
import { checkServerIdentity } from '../server-identity.ts';
import type { SmtpSettings } from './settings.ts';

/** How every TLS session of a connector is verified. TLS 1.2 at least: RFC 8996 ends 1.0 and 1.1. */
export function tlsOptions(settings: SmtpSettings): tls.ConnectionOptions {
  const name = settings.tls.servername ?? settings.host;
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    checkServerIdentity,
    ...(settings.tls.ca === null ? {} : { ca: settings.tls.ca }),
    // SNI carries names only (RFC 6066 section 3); an IP address is still verified against the certificate.
    ...(net.isIP(name) === 0 ? { servername: name } : {}),
  };
}

/** What this client offers, for the operator of a server that takes none of it. Node's default list (`tls.DEFAULT_CIPHERS`), in words. */
const offered = 'this client offers TLS 1.2 and 1.3 with AES or ChaCha20';

interface Meaning {
  /** OpenSSL's reason, as Node's error code and in its text. */
  readonly reason: RegExp;
  readonly text: (settings: SmtpSettings) => string;
}

/**
 * OpenSSL's reasons, of https://github.com/openssl/openssl/blob/master/crypto/err/openssl.txt. Its own text is a line with
 * source files and numbers, which tells an operator nothing.
 */
const meanings: readonly Meaning[] = [
  {
    reason: /wrong[ _]version[ _]number|packet[ _]length[ _]too[ _]long|unexpected[ _]message/i,
    text: ({ host, port, security }) =>
      security === 'tls'
        ? `${host}:${port} does not speak TLS from the first byte; set security: starttls, or use the server's TLS port (465)`
        : `${host}:${port} answered STARTTLS with something that is not TLS`,
  },
  {
    reason: /unsupported[ _]protocol|protocol[ _]version|no[ _]protocols[ _]available/i,
    text: ({ host, port }) =>
      `${host}:${port} offers no TLS version that is still allowed: it must support TLS 1.2 or later (RFC 8996)`,
  },
  {
    reason:
      /alert[ _]handshake[ _]failure|no[ _](?:shared[ _]cipher|ciphers[ _]available)|insufficient[ _]security|(?:unknown|wrong)[ _]cipher[ _]returned/i,
    text: ({ host, port }) =>
      `${host}:${port} and this client share no cipher: ${offered}, and the server takes none of them, as one that has only RC4 or 3DES; enable a modern cipher (such as AES-GCM) on the server`,
  },
  {
    reason: /dh[ _]key[ _]too[ _]small|ee[ _]key[ _]too[ _]small|ca[ _](?:key|md)[ _]too[ _](?:small|weak)/i,
    text: ({ host, port }) =>
      `${host}:${port} uses a key or signature that is too weak; give the server a stronger one`,
  },
];

/** The failure of a TLS handshake in an operator's words; `text` without OpenSSL's source lines where the reason is not known. */
export function tlsFailureText(code: string | null, text: string, settings: SmtpSettings): string {
  const found = meanings.find(({ reason }) => reason.test(code ?? '') || reason.test(text));
  if (found !== undefined) return found.text(settings);
  const rest = withoutSource(text);
  return /alert number \d/i.test(rest) ? `the server ended the TLS handshake: ${rest}` : rest;
}

/** How a connection ends without an alert. Windows' Schannel closes so where no cipher or version is shared. */
export function isCutOff(code: string | null): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ETLS' || code === 'ECONNECTION';
}

/** The server ended the connection in the TLS handshake, without a word of TLS. */
export function tlsCutOffText({ host, port }: SmtpSettings): string {
  return `${host}:${port} closed the connection during the TLS handshake; ${offered}, and a server that has only older versions, RC4 or 3DES may close so`;
}

/** OpenSSL's line is `<thread>:error:<number>:<library>:<function>:<reason>:<file>:<line>:`. Only the reason is kept. */
function withoutSource(text: string): string {
  return text.replace(/[0-9A-F]+:error:[0-9A-F]+:[^:\n]*:[^:\n]*:([^:\n]*):[^:\n]*:\d+:\s*/gi, '$1 ').trim();
}
