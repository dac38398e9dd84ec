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

/** As nodemailer has it (RFC 6376 section 5.4.1), and the field that RFC 8058 section 4 wants signed, too. Fields that are not there are left out. */
const signedFields =
  'From:Sender:Reply-To:Subject:Date:Message-ID:To:Cc:MIME-Version:Content-Type:Content-Transfer-Encoding:Content-ID:' +
  'Content-Description:Resent-Date:Resent-From:Resent-Sender:Resent-To:Resent-Cc:Resent-Message-ID:In-Reply-To:References:' +
  'List-Id:List-Help:List-Unsubscribe:List-Unsubscribe-Post:List-Subscribe:List-Post:List-Owner:List-Archive';

/** Signature and mail. @throws Error if the signer made none: an unsigned mail must not go out as if it were signed. */
export async function signMail(bytes: Buffer, { domain, selector, privateKey }: DkimSettings): Promise<Buffer> {
  const signer = new DKIM({ domainName: domain, keySelector: selector, privateKey, headerFieldNames: signedFields });
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
