/** How large things may be that go through Microsoft Graph, which way a message of a size takes, and what Graph counts of it. */
import { contentSize } from '../../message/content.ts';
import type { OutgoingMail } from '../transport.ts';

/**
 * A request has at most 4 MB (https://learn.microsoft.com/graph/api/user-sendmail), and base64 makes 4 bytes of 3. But MIME of
 * more than 2,240 KB has been answered 200 with nothing sent (github.com/microsoftgraph/microsoft-graph-docs/issues/13979), so
 * what can go another way does so from there on.
 */
export const mimeBytes = 2_240 * 1024;
/** A finished message has no other way, and takes the documented one as far as it goes. */
export const rawMimeBytes = 3_000_000;
/** Of one JSON request, with its keys. */
export const jsonBytes = 3_900_000;
/** From here on an attachment takes an upload session: https://learn.microsoft.com/graph/outlook-large-attachments. */
export const sessionBytes = 3_000_000;
/** Largest attachment of all: https://learn.microsoft.com/graph/api/attachment-createuploadsession. */
export const attachmentBytes = 150 * 1024 * 1024;
/** Below 4 MB as the page asks, and a multiple of 320 KiB as other upload sessions of Graph want it. */
export const rangeBytes = 10 * 327_680;
/** Requests at once per application and mailbox: https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits. */
export const requestsPerMailbox = 4;

/**
 * Bytes of the requests that carry a mail: Graph limits uploads (POST, PATCH, PUT) per application and mailbox. Base64 makes 4 of
 * 3, and only what goes through an upload session goes as it is. https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
 */
export function countedBytes({ bytes, headerOnly, structured }: OutgoingMail): number {
  if (headerOnly !== true || structured === undefined) return asBase64(bytes.length);
  const { text = '', html = '', attachments } = structured.message;
  return attachments
    .map(contentSize)
    .reduce(
      (sum, size) => sum + (size >= sessionBytes ? size : asBase64(size)),
      bytes.length + asBase64(Buffer.byteLength(text) + Buffer.byteLength(html)),
    );
}

function asBase64(bytes: number): number {
  return Math.ceil(bytes / 3) * 4;
}
