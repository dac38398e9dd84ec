/** The form in which the configuration has a password: `scrypt$LN$R$P$SALT$KEY`. Only its form; what it costs is here, who computes it is not. */

/** N is 2 to the power of `ln`. RFC 7914 section 2 has the meaning of all three. */
export interface PasswordCost {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

export interface PasswordHash extends PasswordCost {
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** OWASP's Password Storage Cheat Sheet: N=2^15, r=8, p=3 costs a guess as much as N=2^17 with p=1, and takes a quarter of the memory. */
export const passwordCost: PasswordCost = { ln: 15, r: 8, p: 3 };
export const saltBytes = 16;
export const keyBytes = 32;

/** Of `ln` and `p`: below, a guess is cheap; above, a login takes a second, or a quarter of a gigabyte. */
const bounds = { ln: { from: 14, to: 17 }, p: { from: 1, to: 8 } };

/** null if it is none, or one that costs too little or too much. */
export function parsePasswordHash(text: string): PasswordHash | null {
  const [, lnText = '', pText = '', saltText = '', keyText = ''] =
    /^scrypt\$(\d{1,2})\$8\$(\d)\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  const [ln, p] = [Number(lnText), Number(pText)];
  if (lnText === '' || ln < bounds.ln.from || ln > bounds.ln.to || p < bounds.p.from || p > bounds.p.to) return null;
  return { ln, r: 8, p, salt: Buffer.from(saltText, 'base64url'), key: Buffer.from(keyText, 'base64url') };
}

export function formatPasswordHash({ ln, r, p, salt, key }: PasswordHash): string {
  return ['scrypt', ln, r, p, salt.toString('base64url'), key.toString('base64url')].join('$');
}
