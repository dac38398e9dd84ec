/** Makes private certificate authorities and what they sign, in memory: no openssl binary, nothing on disk. */
import { generate } from 'selfsigned';

export interface KeyAndCertificate {
  /** PEM. */
  readonly key: string;
  /** PEM. */
  readonly cert: string;
}

/** What a certificate is good for: DNS names (type 2) and IP addresses (type 7). */
export type CertificateName = { readonly type: 2; readonly value: string } | { readonly type: 7; readonly ip: string };

export interface Authority {
  /** PEM of its certificate. */
  readonly ca: string;
  /** Signs a server certificate, good from `notBefore` to `notAfter`. */
  sign(about: {
    readonly commonName: string;
    readonly names: readonly CertificateName[];
    readonly notBefore: Date;
    readonly notAfter: Date;
  }): Promise<KeyAndCertificate>;
}

const dayMs = 24 * 60 * 60 * 1000;
/** EC keys: milliseconds to make, where RSA takes a second. */
const keys = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

/** Names of this machine that need no DNS. */
export const localNames: readonly CertificateName[] = [
  { type: 2, value: 'localhost' },
  { type: 7, ip: '127.0.0.1' },
  { type: 7, ip: '::1' },
];

/** A new authority, good for 60 days around `now`. */
export async function createAuthority(commonName: string, now: Date): Promise<Authority> {
  const own = await make(commonName, {
    notBeforeDate: new Date(now.getTime() - 60 * dayMs),
    notAfterDate: new Date(now.getTime() + 60 * dayMs),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return {
    ca: own.cert,
    sign: ({ commonName, names, notBefore, notAfter }) =>
      make(commonName, {
        ca: own,
        notBeforeDate: notBefore,
        notAfterDate: notAfter,
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'keyUsage', digitalSignature: true },
          // For clients too: a Redis may ask its clients for a certificate.
          { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
          ...(names.length === 0 ? [] : [{ name: 'subjectAltName' as const, altNames: [...names] }]),
        ],
      }),
  };
}

async function make(
  commonName: string,
  options: Exclude<Parameters<typeof generate>[1], undefined>,
): Promise<KeyAndCertificate> {
  const made = await generate([{ name: 'commonName', value: commonName }], { ...keys, ...options });
  return { key: made.private, cert: made.cert };
}

export interface Certificates {
  /** PEM of the CA that signed all but `untrusted`. */
  readonly ca: string;
  /** Good for localhost, 127.0.0.1 and ::1. */
  readonly server: KeyAndCertificate;
  readonly expired: KeyAndCertificate;
  /** Good for other.example only. */
  readonly wrongName: KeyAndCertificate;
  /** Right names, but signed by another CA. */
  readonly untrusted: KeyAndCertificate;
  /** Names localhost as its common name, and has no subjectAltName. */
  readonly commonNameOnly: KeyAndCertificate;
}

const otherNames: readonly CertificateName[] = [{ type: 2, value: 'other.example' }];

/** Good and bad server certificates; making them takes tens of milliseconds, so call it once per test file. */
export async function createCertificates(now: Date = new Date()): Promise<Certificates> {
  const [known, unknown] = await Promise.all([
    createAuthority('Postlane test CA', now),
    createAuthority('Postlane unknown CA', now),
  ]);
  const sign = (by: Authority, commonName: string, names: readonly CertificateName[], fromDay: number, toDay: number) =>
    by.sign({
      commonName,
      names,
      notBefore: new Date(now.getTime() + fromDay * dayMs),
      notAfter: new Date(now.getTime() + toDay * dayMs),
    });
  const [server, expired, wrongName, untrusted, commonNameOnly] = await Promise.all([
    sign(known, 'localhost', localNames, -1, 30),
    sign(known, 'localhost', localNames, -30, -1),
    sign(known, 'other.example', otherNames, -1, 30),
    sign(unknown, 'localhost', localNames, -1, 30),
    sign(known, 'localhost', [], -1, 30),
  ]);
  return { ca: known.ca, server, expired, wrongName, untrusted, commonNameOnly };
}
