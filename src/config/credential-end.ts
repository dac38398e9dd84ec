/** When the credential of a connector ends: its certificate's last moment, or the day that `expires` gives for a secret. */
import { X509Certificate } from 'node:crypto';
import type { TransportSettings } from './config.ts';
import type { CredentialSettings } from '../transport/oauth/settings.ts';

/** The earlier of the two, in ms since the epoch; null if neither is known. */
export function credentialEndOf(transport: TransportSettings | null, expiresAt: number | null): number | null {
  const ends = [certificateEndOf(transport), expiresAt].filter((end) => end !== null);
  return ends.length === 0 ? null : Math.min(...ends);
}

/** The end of the certificate that a connector logs in with; null if it has none. */
export function certificateEndOf(transport: TransportSettings | null): number | null {
  const credential = transport === null ? null : credentialOf(transport);
  return credential?.kind === 'clientCertificate' ? endOfCertificate(credential.certificate) : null;
}

function credentialOf(transport: TransportSettings): CredentialSettings | null {
  if (transport.kind === 'graph') return transport.graph.credential;
  const { auth } = transport.smtp;
  return auth !== null && 'oauth2' in auth && auth.oauth2.provider === 'microsoft'
    ? auth.oauth2.identity.credential
    : null;
}

/** Of the first certificate in the text; those after it are of the authorities. */
export function endOfCertificate(pem: string): number | null {
  const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(pem)?.[0];
  try {
    const end = Date.parse(new X509Certificate(block ?? '').validTo);
    return Number.isFinite(end) ? end : null;
  } catch {
    // What is no certificate is refused when a token is asked for, with a fault that names it.
    return null;
  }
}
