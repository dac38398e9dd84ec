/** A private certificate authority and server certificates for tests, made in memory: no openssl binary, nothing on disk. */
import { generate } from 'selfsigned';

export interface KeyAndCertificate {
  readonly key: string;
  readonly cert: string;
}

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

const day = 24 * 60 * 60 * 1000;
/** EC keys: milliseconds to make, where RSA takes a second. */
const keys = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;
const local = [
  { type: 2, value: 'localhost' },
  { type: 7, ip: '127.0.0.1' },
  { type: 7, ip: '::1' },
] as const;

/** Makes all of them; call it once per test file. */
export async function createCertificates(now: Date = new Date()): Promise<Certificates> {
  const [known, stranger] = await Promise.all([authority('Postlane test CA', now), authority('Nobody knows', now)]);
  const sign = (
    by: KeyAndCertificate,
    commonName: string,
    names: readonly { type: 2 | 7; value?: string; ip?: string }[],
    from: number,
    to: number,
  ): Promise<KeyAndCertificate> =>
    make(commonName, {
      ca: by,
      notBeforeDate: new Date(now.getTime() + from * day),
      notAfterDate: new Date(now.getTime() + to * day),
      extensions: [
        { name: 'basicConstraints', cA: false },
        { name: 'keyUsage', digitalSignature: true },
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: [...names] },
      ],
    });
  const [server, expired, wrongName, untrusted] = await Promise.all([
    sign(known, 'localhost', local, -1, 30),
    sign(known, 'localhost', local, -30, -1),
    sign(known, 'other.example', [{ type: 2, value: 'other.example' }], -1, 30),
    sign(stranger, 'localhost', local, -1, 30),
  ]);
  return { ca: known.cert, server, expired, wrongName, untrusted };
}

function authority(commonName: string, now: Date): Promise<KeyAndCertificate> {
  return make(commonName, {
    notBeforeDate: new Date(now.getTime() - 60 * day),
    notAfterDate: new Date(now.getTime() + 60 * day),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
}

async function make(
  commonName: string,
  options: Exclude<Parameters<typeof generate>[1], undefined>,
): Promise<KeyAndCertificate> {
  const made = await generate([{ name: 'commonName', value: commonName }], { ...keys, ...options });
  return { key: made.private, cert: made.cert };
}
