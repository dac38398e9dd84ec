/**
 * Refusals that are about the transaction and not about the mail: too many recipients in it, too many messages in its session,
 * or a parameter of a command. Pure. What is refused so is sent in another way at once, and is no failed attempt.
 */
import type { SmtpPhase } from './reply-table.ts';
import type { SmtpExtensions } from './extensions.ts';
import type { Reply } from '../transport.ts';

/** What a transaction can do without: the message is converted, or its commands leave out the parameter. */
export type Omissible = keyof Pick<SmtpExtensions, 'eightBitMime' | 'smtpUtf8' | 'size' | 'pipelining' | 'dsn'>;

/** Limits over a time are quotas of the account, whatever they count. */
const timeWords =
  /\b(?:per|an?|this|last|each|every|in|within|for|the) (?:\d+ )?(?:second|minute|hour|day|week|month)|daily|hourly|today|tomorrow|24 ?h/i;

/** RFC 5321 section 4.5.3.1.10 (452 4.5.3, formerly 552), RFC 3463 section 3.6 (x.5.3). Invalid recipients are a matter of the list's quality. */
const listWords =
  /too many (?:recipients|rcpts?|destinations|envelope recipients)|too many (?:to|cc|bcc) |recipients? (?:count |number )?limit|recipients? (?:count|number) (?:is )?(?:exceed|reach|too)|(?:maximum|max\.?|limit on the|number of) (?:number of |allowed )?(?:recipients|rcpts?)|recipients (?:per|in (?:one|a|a single|this|the same)|for (?:one|a|a single|this)) (?:message|mail|transaction|envelope)|recipients? at a time|(?:only )?(?:one|a single) recipient\b|too many addresses/i;
const badRecipients = /\b(?:invalid|unknown|bad|non-?existent|bounc)/i;
/** One domain at a time: https://support.google.com/mail/answer/3221692 ("Multiple destination domains per transaction is unsupported"). */
const domainWords =
  /multiple (?:destination |recipient )?domains|(?:one|single|same) (?:destination |recipient )?domain (?:at a time|per|only)|different (?:destination |recipient )?domains? in (?:one|a|the same)|all recipients must be in the same domain/i;

/** `domains`: recipients of another domain than those that were taken. */
export type ListLimit = 'count' | 'domains';

/** Whether the refusal is about the list of recipients. */
export function listLimitOf({ code, enhancedCode, text }: Reply): ListLimit | null {
  if (code === null || !/^[45]/.test(code)) return null;
  const said = text ?? '';
  if (domainWords.test(said)) return 'domains';
  if (timeWords.test(said) || badRecipients.test(said)) return null;
  return listWords.test(said) || /^[45]\.5\.3$/.test(enhancedCode ?? '') ? 'count' : null;
}

/**
 * OpenSMTPD: "452 4.5.0 Too many messages sent"; GMX: "Too many mails in this session"; Haraka, of all recipients of a connection:
 * "450 Too many recipient attempts"; others ask for a new one.
 */
const sessionWords =
  /too many (?:messages?|mails?|e-?mails?|transactions?|recipients?|rcpts?)(?: sent\b| attempts\b|[^.]{0,40}\b(?:session|connection)\b)|(?:messages?|mails?|e-?mails?|transactions?|recipients?|rcpts?) (?:per|in (?:one|a|this|the same|a single)|for this) (?:smtp )?(?:session|connection)|(?:open|start|use|try) (?:a )?(?:new|another) (?:smtp )?(?:session|connection)|(?:session|connection) limit (?:reached|exceeded)|\bsession (?:message |mail |recipient )?(?:limit|quota)|\bconnection (?:message|mail|recipient)s? (?:limit|quota)|\breconnect\b/i;

/** Whether the session, which has carried messages before, can carry no more. */
export function endsSessionOnly({ code, text }: Reply): boolean {
  return code !== null && /^[45]/.test(code) && sessionWords.test(text ?? '') && !timeWords.test(text ?? '');
}

const refusedWords =
  /unsupported|not (?:supported|implemented|recogni[sz]ed|allowed|permitted|available)|unrecogni[sz]ed|unknown|invalid|illegal|bad|cannot|improper|refused/i;
const words: readonly (readonly [Omissible, RegExp])[] = [
  ['eightBitMime', /\b8-?bit(?:-?mime)?\b|\bmail body type\b|\bbody(?:[ =]|$)/i],
  ['smtpUtf8', /smtp-?utf-?8|internationali[sz]ed/i],
  ['size', /\bsize[ =](?!.*(?:exceed|too (?:large|big)|limit))/i],
  ['pipelining', /pipelin/i],
  ['dsn', /\b(?:notify|orcpt|envid|ret|dsn)\b/i],
];

/**
 * What to leave out of the next try, in a refusal of a command with these parameters. RFC 5321 section 4.1.1.11: 555 refuses a
 * parameter, and 501 or 504 its value. Servers that relay while they answer refuse what the next hop does not take.
 */
export function refusedParameters(
  phase: SmtpPhase,
  { code, enhancedCode, text }: Reply,
  used: readonly Omissible[],
): readonly Omissible[] {
  if (code === null || !/^[45]/.test(code) || used.length === 0) return [];
  const said = text ?? '';
  const named = words.flatMap(([name, pattern]) => {
    const applies = used.includes(name) && (name !== 'size' || phase === 'mail');
    return applies && pattern.test(said) ? [name] : [];
  });
  if (named.length > 0 && refusedWords.test(said)) return named;
  if (phase === 'rcpt') return code === '555' && used.includes('dsn') ? ['dsn'] : [];
  if (phase !== 'mail' || !(/^(?:501|504|555)$/.test(code) || /^5\.5\.4$/.test(enhancedCode ?? ''))) return [];
  // SMTPUTF8 is asked for where it is needed only: without it the message may have to be refused.
  const harmless = used.filter((name) => name === 'eightBitMime' || name === 'size' || name === 'dsn');
  return harmless.length > 0 ? harmless : used.filter((name) => name === 'smtpUtf8');
}
