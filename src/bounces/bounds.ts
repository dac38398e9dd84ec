/** The bounds of a report: how much of a mail is read, and how much is kept of what it says. Strangers write these mails. */

/** Octets of a mail that are read; the rest is not looked at. What a report says stands before the returned mail (RFC 6522 section 3). */
export const maxReadBytes = 1024 * 1024;
/** Parts of a mail, at any depth; what follows is not looked at. Reports have fewer than ten. */
export const maxParts = 100;
/** Octets of the header of a part; what follows is not looked at. */
export const maxHeadBytes = 256 * 1024;
/** Octets that are kept of one part, encoded. */
export const maxPartBytes = 256 * 1024;
/** Lines of a text that are looked at. */
export const maxTextLines = 5_000;
/** Characters of a line, or of a field with its folded lines, that are looked at. */
export const maxLineChars = 4_000;
/** Fields of a header or of a block of fields. */
export const maxFields = 2_000;
/** Recipients of one report; the others are left out. More than a message of ours may have. */
export const maxRecipients = 1_000;
/** Characters of a diagnostic that are kept. */
export const maxDiagnosticChars = 500;
/** Message-IDs and other identifications of one report. */
export const maxClues = 50;
