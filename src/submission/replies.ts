/** Every refusal by its name: code, enhanced status code (RFC 3463, RFC 5248) and text, as docs/submission.md lists them. */
import { printable, PostlaneError } from '../errors.ts';

export interface Reply {
  readonly code: number;
  /** Begins with the enhanced status code. */
  readonly text: string;
}

export const replies = {
  'not-ready': { code: 421, text: '4.3.2 Cannot take mail at the moment; try again later' },
  draining: { code: 421, text: '4.3.2 Going down; try again later' },
  'too-many-clients': { code: 421, text: '4.3.2 Too many connections; try again later' },
  network: { code: 554, text: '5.7.1 Your address may not send here' },
  'too-slow': { code: 421, text: '4.4.2 Too slow; closing' },
  idle: { code: 421, text: '4.4.2 Timeout; closing' },
  'too-many-commands': { code: 421, text: '4.7.0 Too many commands without a message; closing' },
  'tls-first': { code: 530, text: '5.7.0 Must issue a STARTTLS command first' },
  'login-first': { code: 530, text: '5.7.0 Authentication required' },
  'wrong-login': { code: 535, text: '5.7.8 Authentication credentials invalid' },
  'login-blocked': { code: 421, text: '4.7.0 Too many failed logins; try again later' },
  'login-busy': { code: 454, text: '4.7.0 Temporary authentication failure; try again later' },
  'sender-syntax': { code: 553, text: '5.1.7 Bad sender address' },
  'recipient-syntax': { code: 553, text: '5.1.3 Bad recipient address' },
  'utf8-address': { code: 553, text: '5.6.7 A non-ASCII address needs SMTPUTF8' },
  'envelope-sender': { code: 553, text: '5.7.1 You may not send as this address' },
  'header-sender': { code: 550, text: '5.7.1 You may not send this message' },
  rate: { code: 450, text: '4.7.1 Too many messages within a minute; try again later' },
  quota: { code: 452, text: '4.7.1 The quota of the day is used up; try again later' },
  'quota-never': { code: 554, text: '5.7.1 More recipients than you may send to in a day' },
  'too-large': { code: 552, text: '5.3.4 The message is too large' },
  'no-room': { code: 452, text: '4.3.1 Too many messages at once; try again later' },
  invalid: { code: 554, text: '5.6.0 Not a valid message' },
  loop: { code: 554, text: '5.4.6 Too many hops: a mail loop' },
  'id-taken': { code: 554, text: '5.6.0 X-Postlane-Id is the id of another message' },
  unavailable: { code: 451, text: '4.3.0 Cannot store the message; try again later' },
  full: { code: 452, text: '4.3.1 No room for new messages; try again later' },
  unacknowledged: { code: 451, text: '4.3.0 Too few replicas have the message; try again later' },
} as const satisfies Readonly<Record<string, Reply>>;

export type ReplyName = keyof typeof replies;

export interface Refusal {
  readonly reason: ReplyName;
  /** Follows the text of the reply; it may quote the client, so it is made printable. */
  readonly detail: string;
}

export function refusal(reason: ReplyName, detail = ''): Refusal {
  return { reason, detail };
}

/** RFC 5321 section 4.5.3.1.5: 512 octets; this leaves the rest for the code and the text. */
const maxDetail = 300;

/** ASCII, as a client that has not asked for SMTPUTF8 expects it. */
export function replyOf({ reason, detail }: Refusal): Reply {
  const { code, text } = replies[reason];
  const said = printable(detail, maxDetail).replaceAll(/[^ -~]/g, '?');
  return { code, text: said === '' ? text : `${text}: ${said}` };
}

/** As smtp-server takes a refusal. */
export function asReplyError(refused: Refusal): Error & { responseCode: number } {
  const { code, text } = replyOf(refused);
  return Object.assign(new Error(text), { responseCode: code });
}

/** What an error of the producer or of the store means for the client. Whatever is unknown may be tried again. */
export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof PostlaneError)) return refusal('unavailable');
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- every other code is temporary
  switch (error.code) {
    case 'message-invalid': {
      const [first] = error.issues;
      const reason = first?.rule === 'too-large' ? 'too-large' : 'invalid';
      return refusal(reason, first === undefined ? '' : `${first.field || 'message'}: ${first.message}`);
    }
    case 'redis-full':
      return refusal('full');
    case 'redis-unacknowledged':
      return refusal('unacknowledged');
    case 'producer-closed':
      return refusal('draining');
    default:
      return refusal('unavailable');
  }
}
