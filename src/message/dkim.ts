/**
 * Signs a composed mail (DKIM, RFC 6376): relaxed/relaxed, RSA with SHA-256, without a time, so that each attempt has the same bytes. By
 * nodemailer's signer, which gets the mail in slices, so that the event loop goes on.
 */
import { setImmediate } from 'node:timers/promises';
import { Readable } from 'node:stream';
import DKIM from 'nodemailer/lib/dkim';
import { sliceBytes } from './turns.ts';

export interface DkimSettings {
  /** The signing domain (`d=`), as A-label. */
  readonly domain: string;
  readonly selector: string;
  /** PEM. */
  readonly privateKey: string;
}

/** Signature and mail. @throws Error if the signer made none: an unsigned mail must not go out as if it were signed. */
export async function signMail(bytes: Buffer, { domain, selector, privateKey }: DkimSettings): Promise<Buffer> {
  const signer = new DKIM({ domainName: domain, keySelector: selector, privateKey });
  const chunks: Buffer[] = [];
  for await (const chunk of signer.sign(Readable.from(slicesOf(bytes), { objectMode: false }))) {
    chunks.push(chunk as Buffer);
  }
  const signed = Buffer.concat(chunks);
  if (signed.length <= bytes.length || !signed.subarray(0, 15).equals(Buffer.from('DKIM-Signature:'))) {
    throw new Error(`the mail was not signed for ${domain}`);
  }
  return signed;
}

async function* slicesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += sliceBytes) {
    if (start > 0) await setImmediate();
    yield bytes.subarray(start, start + sliceBytes);
  }
}
