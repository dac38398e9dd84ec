/** Composes the RFC 5322 bytes of a message: CRLF line ends, no Bcc, the same input giving the same bytes in every process. */
import type { Content, Message } from './message.ts';

export interface ComposeOptions {
  /** The Message-ID header's value with its angle brackets, as `messageIdHeader` gives it. */
  readonly messageId: string;
  readonly date: Date;
  /** Text of which MIME boundaries are derived; the message's id. */
  readonly boundarySeed: string;
  /** Bytes of an attachment or raw message: decodes inline content, fetches stored content. May reject; composing then rejects too. */
  readonly contentOf: (content: Content) => Buffer | Promise<Buffer>;
}

/** The finished mail. A raw message passes as it is, but for its Bcc header fields and line ends. */
export async function composeMail(message: Message, options: ComposeOptions): Promise<Buffer> {
  throw new Error(`not built yet: ${message.id} ${options.messageId}`);
}
