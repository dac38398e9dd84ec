/** What a report says of one recipient, as a value: all readers give the same. */
import { maxDiagnosticChars } from './bounds.ts';
import { permanenceOf, permanenceOfCode, smtpCodeIn, statusIn } from './codes.ts';
import { collapsed } from './fields.ts';

export type Action = 'failed' | 'delayed' | 'delivered' | 'relayed' | 'expanded';

export interface ReportedRecipient {
  /** Null where the report names none. */
  readonly recipient: string | null;
  /** What became of the mail (RFC 3464 section 2.3.3); null in a complaint. */
  readonly action: Action | null;
  /** The enhanced status code as written, or as the reason has it; never made up. */
  readonly status: string | null;
  readonly smtpCode: string | null;
  /** Whether the address will fail again: another answer than `action`, as a server may give up on an address that is fine. */
  readonly permanent: boolean | null;
  readonly diagnostic: string | null;
}

export interface Said {
  readonly recipient: string | null;
  readonly action: Action;
  /** The field Status, if there is one. */
  readonly status?: string | null;
  /** An SMTP code that stands elsewhere than in the reason. */
  readonly smtpCode?: string | null;
  /** The reason in the server's words. */
  readonly reason: string;
  /** What the report says of all recipients, for the wording alone. */
  readonly notice?: string;
}

/** Codes come from the field, then from the reason; permanence from the status, then the SMTP code, then the wording. */
export function judged({
  recipient,
  action,
  status: field,
  smtpCode: code,
  reason,
  notice = '',
}: Said): ReportedRecipient {
  const diagnostic = collapsed(reason);
  const status = field ?? statusIn(diagnostic);
  const smtpCode = smtpCodeIn(diagnostic) ?? code ?? null;
  return {
    recipient,
    action,
    status,
    smtpCode,
    permanent: permanence(action, status, smtpCode, () => permanenceOf(diagnostic) ?? permanenceOf(notice)),
    diagnostic: diagnostic === '' ? null : cut(diagnostic),
  };
}

function permanence(
  action: Action,
  status: string | null,
  smtpCode: string | null,
  wording: () => boolean | null,
): boolean | null {
  switch (action) {
    case 'failed':
      return permanenceOfCode(status) ?? permanenceOfCode(smtpCode) ?? wording();
    case 'delayed':
      return false;
    case 'delivered':
    case 'relayed':
    case 'expanded':
      return null;
    default:
      return action satisfies never;
  }
}

function cut(text: string): string {
  return text.length <= maxDiagnosticChars ? text : `${text.slice(0, maxDiagnosticChars - 1)}…`;
}
