/** Server certificates for tests, good ones and bad ones, of a private certificate authority. */
import {
  createAuthority,
  localNames,
  type Authority,
  type CertificateName,
  type KeyAndCertificate,
} from './certificates.ts';

export type { KeyAndCertificate } from './certificates.ts';

export interface Certificates {
  /** PEM of the CA that signed `server`, `expired` and `wrongName`. */
  readonly ca: string;
  /** Good for localhost, 127.0.0.1 and ::1. */
  readonly server: KeyAndCertificate;
  readonly expired: KeyAndCertificate;
  /** Good for other.example only. */
  readonly wrongName: KeyAndCertificate;
  /** Right names, but signed by a CA that nobody knows. */
  readonly untrusted: KeyAndCertificate;
}

const dayMs = 24 * 60 * 60 * 1000;
const otherNames: readonly CertificateName[] = [{ type: 2, value: 'other.example' }];

/** Makes all of them; call it once per test file. */
export async function createCertificates(now: Date = new Date()): Promise<Certificates> {
  const [known, stranger] = await Promise.all([
    createAuthority('Postlane test CA', now),
    createAuthority('Nobody knows', now),
  ]);
  const sign = (by: Authority, commonName: string, names: readonly CertificateName[], fromDay: number, toDay: number) =>
    by.sign({
      commonName,
      names,
      notBefore: new Date(now.getTime() + fromDay * dayMs),
      notAfter: new Date(now.getTime() + toDay * dayMs),
    });
  const [server, expired, wrongName, untrusted] = await Promise.all([
    sign(known, 'localhost', localNames, -1, 30),
    sign(known, 'localhost', localNames, -30, -1),
    sign(known, 'other.example', otherNames, -1, 30),
    sign(stranger, 'localhost', localNames, -1, 30),
  ]);
  return { ca: known.ca, server, expired, wrongName, untrusted };
}
