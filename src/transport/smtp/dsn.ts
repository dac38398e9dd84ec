/** What a message asks of servers about delivery reports (RFC 3461), as parameters of MAIL and RCPT. No value can break out of one. */
import type { DsnRequest } from '../transport.ts';

/** RFC 3461 sections 4.4 and 4.2: characters of ENVID and of ORCPT, encoded. */
const maxEnvidChars = 100;
const maxOrcptChars = 500;

/** Of MAIL: how much of the mail a report returns, and the id of the envelope, which it repeats. */
export function mailDsn({ return: returned, envelopeId }: DsnRequest): string[] {
  const id = envelopeId === null ? null : xtext(envelopeId, maxEnvidChars);
  return [
    ...(returned === undefined ? [] : [returned === 'full' ? 'RET=FULL' : 'RET=HDRS']),
    ...(id === null ? [] : [`ENVID=${id}`]),
  ];
}

/** Of RCPT: when a report is wanted, and the recipient as it is here, which forwarding does not change in a report. */
export function rcptDsn(address: string, { notify }: DsnRequest): string[] {
  const original = xtext(address, maxOrcptChars);
  return [
    ...(notify === undefined ? [] : [`NOTIFY=${notify === 'never' ? 'NEVER' : notify.join(',').toUpperCase()}`]),
    ...(original === null ? [] : [`ORCPT=rfc822;${original}`]),
  ];
}

/** RFC 3461 section 4: printable ASCII but + and =, all else as `+` and two hexadecimal digits. null: not ASCII, a control character, or too long. */
export function xtext(text: string, maxChars: number): string | null {
  if (text === '' || !/^[ -~]*$/.test(text)) return null;
  const code = (char: string): string => `+${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  const encoded = text.replaceAll(/[ +=]/g, code);
  return encoded.length > maxChars ? null : encoded;
}
