/** How large things may be that go through Microsoft Graph, and which way a message of a size takes. */

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
