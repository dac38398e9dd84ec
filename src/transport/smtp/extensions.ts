/** What a server offers, read from its reply to EHLO (RFC 5321 section 4.1.1.1). Pure, and linear in the length of the reply. */

export interface SmtpExtensions {
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  /** RFC 2920: the commands of a transaction may go out together. */
  readonly pipelining: boolean;
  /** RFC 3461: MAIL and RCPT may say what is wanted of delivery reports. */
  readonly dsn: boolean;
  /** MAIL FROM may say SIZE. */
  readonly size: boolean;
  /** Largest message in bytes; null if the server names no limit (RFC 1870 section 4). */
  readonly maxBytes: number | null;
  /** SASL mechanisms in upper case; null if AUTH is not offered. */
  readonly authMechanisms: readonly string[] | null;
}

/** `reply`: the lines of the reply to EHLO, joined by line feeds. A reply to HELO has one line and offers nothing. */
export function readExtensions(reply: string): SmtpExtensions {
  const keywords = new Map<string, string[]>();
  for (const line of reply.split(/\r?\n/).slice(1)) {
    // Exchange 5.5 wrote `AUTH=LOGIN`, and some servers still do.
    const [keyword = '', ...parameters] = line
      .slice(4)
      .trim()
      .toUpperCase()
      .split(/[\s=]+/);
    const known = keywords.get(keyword);
    if (known === undefined) keywords.set(keyword, parameters);
    else for (const parameter of parameters) known.push(parameter);
  }
  return {
    eightBitMime: keywords.has('8BITMIME'),
    smtpUtf8: keywords.has('SMTPUTF8'),
    pipelining: keywords.has('PIPELINING'),
    dsn: keywords.has('DSN'),
    size: keywords.has('SIZE'),
    maxBytes: sizeOf(keywords.get('SIZE')?.[0]),
    authMechanisms: keywords.get('AUTH') ?? null,
  };
}

/** RFC 1870 section 3: up to twenty decimal digits, and 0 for no limit. */
function sizeOf(parameter: string | undefined): number | null {
  const bytes = /^\d{1,20}$/.test(parameter ?? '') ? Number(parameter) : 0;
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
}
