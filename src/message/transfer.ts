/** Fits a finished mail to what the server's extensions allow: 8-bit content and long lines. */

/** What the server offered in its answer to EHLO. */
export interface TransferExtensions {
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531; a server that offers it must offer 8BITMIME too. */
  readonly smtpUtf8: boolean;
}

/** `use8BitMime`: MAIL FROM has to say BODY=8BITMIME. */
export interface FittedMail {
  readonly bytes: Buffer;
  readonly use8BitMime: boolean;
}

/** The bytes as this server may get them. */
export function fitForTransfer(bytes: Buffer, extensions: TransferExtensions): FittedMail {
  throw new Error(`not built yet: ${bytes.length} ${extensions.eightBitMime}`);
}
