/** What came back of a recipient after its mail was taken: how it is stored in the row, read from there, and shown. Pure. */
import type { Bounce, RecipientState } from './history.ts';

/** Characters of a diagnostic that a row keeps. */
const maxDiagnosticChars = 500;

/** As the row keeps it: text that the JSON of Redis can read, too. */
export function storedBounce({ at, action, status, smtpCode, permanent, diagnostic }: Bounce): string {
  const text = diagnostic?.slice(0, maxDiagnosticChars).toWellFormed() ?? null;
  return JSON.stringify({ at, action, status, smtpCode, permanent, diagnostic: text });
}

/**
 * The recipients of a row with what came back of each. They are a field of their own, place among the recipients → bounce: a settlement
 * writes all recipients as its worker knows them, and must not undo a report that came meanwhile.
 */
export function withBounces(recipients: readonly RecipientState[], stored: unknown): readonly RecipientState[] {
  if (typeof stored !== 'object' || stored === null || !Array.isArray(recipients)) return recipients;
  const bounces = stored as Readonly<Record<string, unknown>>;
  return recipients.map((recipient, place) => {
    const bounce = Object.hasOwn(bounces, place) ? readBounce(bounces[place]) : null;
    return bounce === null ? recipient : { ...recipient, bounce };
  });
}

/** Written by us, but nothing that comes out of Redis may break a reader. */
function readBounce(value: unknown): Bounce | null {
  if (typeof value !== 'object' || value === null) return null;
  const { at, action, status, smtpCode, permanent, diagnostic } = value as Readonly<Record<string, unknown>>;
  if (typeof at !== 'number' || (action !== 'failed' && action !== 'delayed')) return null;
  return {
    at,
    action,
    status: textOf(status),
    smtpCode: textOf(smtpCode),
    permanent: typeof permanent === 'boolean' ? permanent : null,
    diagnostic: textOf(diagnostic),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The recipients as a row and an event have them: what came back is not among them. */
export function storedRecipients(recipients: readonly RecipientState[]): string {
  if (recipients.every(({ bounce }) => bounce === undefined)) return JSON.stringify(recipients);
  return JSON.stringify(recipients.map(({ bounce: _bounce, ...recipient }) => recipient));
}
