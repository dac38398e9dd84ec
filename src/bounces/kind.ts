/** What a mail is, by its header and structure: a report of a mail system, an answer by a program, or other mail. Words alone never make a report. */
import { valueOf, type Field } from './fields.ts';

/** The address and the name of programs that send reports, in From. */
const systemMailbox =
  /(?:^|[<\s"])(?:mailer[-_.]?daemon|post[-_]?master|mdaemon|mail-?daemon|mail-?system|system[-_. ]?administrator|mmdf|uucp|daemon|(?:[a-z\d]{1,30}[-_.]){0,5}smtpd?(?:[-_.][a-z\d]{1,30}){0,5})(?:"?@|>|\s|$)|^\s*(?:<>)?\s*$/i;
const systemName =
  /mail(?:er)?[ -]?(?:delivery|daemon)|delivery (?:sub)?(?:-?system|status|notification)|system administrator|\bndr administrator|mail (?:system|administrator)|postmaster|internet mail/i;

/** The sender is a mail system, and not a person. */
export function isFromMailSystem(fields: readonly Field[]): boolean {
  const from = fields.find(({ name }) => name === 'from')?.value ?? 'none';
  return systemMailbox.test(from) || systemName.test(from.replace(/<[^<>]*>/g, ''));
}

/** Sent by a program from an address that is not read. Newsletters are, too. */
export function isFromNoReply(fields: readonly Field[]): boolean {
  return /(?:^|[<\s])(?:no[-_.]?|do[-_.]?not[-_.]?)reply@/i.test(valueOf(fields, 'from'));
}

/** Sent to the readers of a list (RFC 2369, RFC 2919). Reports are sent to one address. */
export function isListPost(fields: readonly Field[]): boolean {
  return fields.some(({ name }) => /^list-(?:id|post|unsubscribe)$/.test(name));
}

const failureSubject =
  /undeliver|un ?deliver|deliver\w*|failure|fail(?:ed)?\b|return(?:ed|ing)|bounce|non[- ]?remis|recapit|unzustellbar|mail (?:system )?error|user unknown|unknown user|message status|not sent|could not (?:be )?send|rejected|delayed|warning|notice/i;

export function isAboutDelivery(subject: string): boolean {
  return failureSubject.test(subject);
}

/** A warning says so. It may also say that the server will give up one day. */
const sureDelay =
  /warning (?:message )?only|do not need to resend|(?:has|have) not yet been delivered|not been delivered.{0,40}\byet|delay reason|will continue (?:for|to)|has been delayed\b(?!.{0,80}(?:giv|fail))|still being retried|delivery incomplete/i;
const end =
  /(?:permanent|fatal) (?:error|failure)|failed permanently|giv(?:en|ing) up|not going to try again|could not be delivered to one or more|will be (?:deleted|returned)|address\(?e?s?\)? failed/i;
const delay =
  /(?:not|n't) (?:be |been )?(?:delivered|sen[dt])\b.{0,40} (?:for|after) .{0,30}(?:hour|minute|day)|still undelivered|will (?:keep|be retried|retry)|temporary problem|try(?:ing)? again (?:for|until)/i;

/** A warning: the mail is still on its way. */
export function isDelay(subject: string, notice: string): boolean {
  if (sureDelay.test(notice)) return true;
  if (end.test(notice)) return false;
  return delay.test(notice) || /\bdelay(?:ed)?\b|could not send message for past|still being retried/i.test(subject);
}

/** "Automatic reply" and "absent" in the languages of the common programs, which put it before the subject. */
const answerSubject =
  /^\W*(?:auto(?:mat\w{0,20})?[ -:](?:\W*(?:reply|response|respond\w*|answer|antwort|antwoord|odpowied\p{L}*|svar|vastaus))?|autosvar|autoreply|out of (?:the )?office|abwesen\w*|afwezig\w*|absen[ct]e?\b|vacation|r[ée]ponse automatique|respuesta autom\p{L}*|risposta autom\p{L}*|resposta autom\p{L}*|автоматический ответ|автоответ|自動返信|自動応答|自动回复|자동 ?회신)/iu;

/** A program answered for the reader (RFC 3834 section 5), or acknowledges a mail. */
export function isAutoReply(fields: readonly Field[], subject: string): boolean {
  const submitted = valueOf(fields, 'auto-submitted').toLowerCase();
  const isAnswer = fields.some(({ name }) => name === 'in-reply-to' || name === 'references');
  return (
    submitted.startsWith('auto-replied') ||
    (submitted.startsWith('auto-generated') && isAnswer) ||
    isByAutoresponder(fields, subject)
  );
}

/** Marked as an answer by what only programs that answer for a person write. */
export function isByAutoresponder(fields: readonly Field[], subject: string): boolean {
  return (
    /^auto[-_]?reply/i.test(valueOf(fields, 'precedence')) ||
    fields.some(({ name }) => /^x-(?:auto-?(?:reply|respond|responder|responce)|autoreply-\w+|vacation)/.test(name)) ||
    answerSubject.test(subject)
  );
}

/** RFC 5965 section 3.1 and the registry of feedback types: who complains, or opts out. `auth-failure` and `dmarc` are about records, not about readers. */
export function isComplaint(feedbackType: string): boolean {
  return /^(?:abuse|opt-out(?:-list)?|fraud|virus|other|miscategorized|)$/i.test(feedbackType.trim());
}

/** Of Outlook.com's complaints, which have the form of a forwarded mail. */
export function isComplaintSubject(subject: string): boolean {
  return /^complaint about/i.test(subject);
}
