/** Whether a verified certificate belongs to the host that was asked for: by its subjectAltName only. Pure. */
import tls from 'node:tls';

/**
 * Node takes the common name of a certificate that has no subjectAltName. RFC 9525 section 2 forbids that: a common name is
 * free text that no rule of a certificate authority's name constraints binds. The price: old internal certificates have to be
 * issued again.
 */
export function checkServerIdentity(host: string, certificate: tls.PeerCertificate): Error | undefined {
  if (certificate.subjectaltname !== undefined) return tls.checkServerIdentity(host, certificate);
  const text = `the certificate has no subjectAltName for ${host}; its common name does not count (RFC 9525): issue a certificate that lists the host`;
  return Object.assign(new Error(text), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}
