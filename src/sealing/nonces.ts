/** Random nonces for AES-GCM, drawn from the system many at a time: one at a time costs more than the cipher. */
import { randomFillSync } from 'node:crypto';

/** Of AES-GCM (NIST SP 800-38D section 8.2.2). */
export const nonceBytes = 12;

const noncesPerDraw = 4_096;

/** Each call gives another 12 bytes, which are the caller's until the next call. */
export function createNonces(): () => Buffer {
  const pool = Buffer.alloc(nonceBytes * noncesPerDraw);
  let at = pool.length;
  return () => {
    if (at === pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    const nonce = pool.subarray(at, at + nonceBytes);
    at += nonceBytes;
    return nonce;
  };
}
