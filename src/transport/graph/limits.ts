/** The size limits of Microsoft Graph, which decide the way of a message, and how many bytes Graph counts of it. */
import { contentSize } from '../../message/content.ts';
import type { OutgoingMail } from '../transport.ts';

/**
 * A request has at most 4 MB (https://learn.microsoft.com/graph/api/user-sendmail), and base64 makes 4 bytes of 3. But MIME of
 * more than 2,240 KB has been answered 200 with nothing sent (github.com/microsoftgraph/microsoft-graph-docs/issues/13979), so
 * larger messages go another way if they can.
 */
export const mimeBytes = 2_240 * 1024;
/** A finished message loses header fields when it is taken apart, so it stays whole up to the documented limit. */
export const rawMimeBytes = 3_000_000;
/** Of one JSON request, with its keys. */
export const jsonBytes = 3_900_000;
/** From this size on an attachment needs an upload session: https://learn.microsoft.com/graph/outlook-large-attachments. */
export const sessionBytes = 3_000_000;
/** The largest attachment: https://learn.microsoft.com/graph/api/attachment-createuploadsession. */
export const attachmentBytes = 150 * 1024 * 1024;
/** Below 4 MB as the page asks, and a multiple of 320 KiB as other upload sessions of Graph want it. */
export const rangeBytes = 10 * 327_680;
/** Requests at once per application and mailbox: https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits. */
export const requestsPerMailbox = 4;

/**
 * Bytes of the requests that carry a mail: Graph limits uploads (POST, PATCH, PUT) per application and mailbox. Base64 makes 4
 * bytes of 3; only upload sessions carry bytes unchanged. https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
 */
export function countedBytes({ bytes, headerOnly, structured }: OutgoingMail): number {
  if (headerOnly !== true || structured === undefined) {
    // Taken apart, it loses its own base64, and most of it goes through upload sessions.
    return structured === undefined && bytes.length > rawMimeBytes ? bytes.length : asBase64(bytes.length);
  }
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
