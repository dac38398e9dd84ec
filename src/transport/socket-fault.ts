/** Turns the error code of a socket or TLS session into the fault of its connector. Pure. */
import type { FaultClass } from './transport.ts';

/** Node's and OpenSSL's codes for a certificate or a protocol version that does not fit. */
const tlsCodes =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|HOSTNAME_MISMATCH|INVALID_|CRL_|EPROTO$)/;

/** What a proxy refuses; anything else that goes wrong with one is temporary, as with a server. */
const proxyFaults: Readonly<Record<string, FaultClass>> = {
  EPROXYAUTH: 'auth',
  EPROXYDENIED: 'config',
  EPROXYNOTUNNEL: 'config',
};

/** The fault of a connection that failed before the server had anything of the message. */
export function classifySocketFault(code: string | null): FaultClass {
  if (code !== null && Object.hasOwn(proxyFaults, code)) return proxyFaults[code] ?? 'unreachable';
  return code !== null && tlsCodes.test(code) ? 'tls' : 'unreachable';
}
