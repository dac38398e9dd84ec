/**
 * The bounds of a message that no configuration changes. Each is checked before any work is done on what it bounds.
 *
 * They are far beyond what mail programs write, and small enough that what passes is judged and composed in milliseconds.
 */

/** Of each of to, cc, bcc and envelope.to, or `message.maxRecipients` if that is more: a header may name more people than receive the mail. */
export const maxListedMailboxes = 1_000;
export const maxReplyTo = 100;
export const maxAttachments = 1_000;
export const maxAlternatives = 10;
/** Of each alternative, and of an invitation. Gmail takes 200,000 bytes of AMP; an invitation names some 100 bytes for each guest. */
export const maxAlternativeBytes = 256 * 1024;
/** Values of all names together. */
export const maxHeaderFields = 1_000;
/** Components within each other: an alarm within an event is the third. */
export const maxCalendarDepth = 10;
/** In UTF-8. Outlook writes at most 255 characters. */
export const maxSubjectBytes = 10_000;
/** In UTF-8. Four times the longest field that Exchange Online writes. */
export const maxHeaderValueBytes = 32 * 1024;
/** In UTF-8. A quoted name stays on one header line even if every character needs a backslash: 2 * 256 + 254 < 998 octets. */
export const maxNameBytes = 256;
/**
 * In UTF-8. RFC 5321 section 4.5.3.1.3: a path is at most 256 octets with its angle brackets. The domain's own 255 never bind, and the
 * 64 of a local part are what a server must take at least, not the most that may be sent: "implementation techniques that impose
 * no limits ... should be used" (section 4.5.3.1). Longer ones exist (VERP, gateways), and the server of the recipient is the judge.
 */
export const maxAddressBytes = 254;
/** Of each way to unsubscribe: it stands on one line of the header (RFC 5322 section 2.1.1). */
export const maxUnsubscribeChars = 900;
/** All fields of the composed header together, encoded. The same bound holds for the header of a finished message (`raw`). */
export const maxHeaderBytes = 256 * 1024;
export const maxReferences = 1_000;
/** As they are given. */
export const maxReferencesBytes = 64 * 1024;
/** One line of a header (RFC 5322 section 2.1.1), with room for the name of the field. */
export const maxMessageIdBytes = 900;
export const maxMetadataKeys = 50;
export const maxMetadataBytes = 4_096;
/** A file name or a content type, in characters: the longest file name of common file systems. */
export const maxFileNameChars = 255;
/** No object of a message has more than 10. */
export const maxObjectKeys = 32;

/** More issues than this do not help and fill dead letters: the work ends there. */
export const maxIssues = 100;
/** Unknown keys for which the field that was meant is looked for. */
export const maxSuggestions = 5;
