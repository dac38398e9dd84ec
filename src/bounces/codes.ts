/** Reads codes out of a reason: the enhanced status code (RFC 3463), the SMTP code, and what the wording says about permanence. */

/** After the code of a reply, in `(#4.4.3)` as qmail writes it, or alone; never a part of an IP address or a version. */
const statuses = [
  /(?<!\d)[245]\d\d[ -]#?([245]\.\d{1,3}\.\d{1,3})(?![.\d])/,
  /\(#([245]\.\d{1,3}\.\d{1,3})\)/,
  /(?<![.\d[])([245]\.\d{1,3}\.\d{1,3})(?![.\d\]])/,
];
/**
 * An SMTP code, from the surest place to the least sure: at the start, behind what a server said, before an enhanced code. Other
 * numbers of three digits are sizes and ports.
 */
const smtpCodes = [
  /^\s*['"(]?([245]\d\d)(?:[ \-:#;,]|$)/,
  /(?:said|says|returned|response(?: was)?|reason|error|reply|deferred|to me|<<<|command|code)\s{0,8}[:;]?\s{0,8}['"(]?([245]\d\d)(?:[ \-:#,;\]]|$)/i,
  /(?<![\d.])([245]\d\d)[ -]#?[245]\.\d{1,3}\.\d{1,3}(?![.\d])/,
  /[:'",]\s?([245]\d\d)(?:[ \-#](?=[^\d\s])|\s*$)/,
];

export function statusIn(text: string): string | null {
  return first(statuses, text);
}

export function smtpCodeIn(text: string): string | null {
  return first(smtpCodes, text);
}

function first(patterns: readonly RegExp[], text: string): string | null {
  for (const pattern of patterns) {
    const found = pattern.exec(text)?.[1];
    if (found !== undefined) return found;
  }
  return null;
}

/** The words of servers that give no code. A full mailbox, or a host that did not answer, is neither. */
const permanentWords =
  /permanent(?:ly)?\b|fatal error|(?:user|recipient|mailbox|account|address|name|alias)\b.{0,60}\b(?:unknown|(?:not|n't|never)\b.{0,20}\b(?:found|exist|known|recogni[sz]ed|listed|valid)|does not exist|doesn't (?:exist|have)|invalid|disabled|locked|closed|inactive|suspended|deactivated)|(?:no such|unknown|invalid|unrecogni[sz]ed|nonexist\w{0,12}|non-existent|bad)\b.{0,20}\b(?:user|recipient|mailbox|account|address|person|local|host|domain)|not (?:a known|our customer|a valid)|unrouteable|domain does not exist|no mx record|host (?:or domain name |[\w.-]{1,255} )?not found/i;
const temporaryWords = /temporar(?:y|ily)|try(?:ing)? again later|will (?:be |keep )?retr|transient|deferred|greylist/i;

/** Strangers write a reason, and it is judged for each recipient of a report. Servers say why at the beginning. */
const judgedChars = 1_000;

/** `null`: the wording does not say. */
export function permanenceOf(text: string): boolean | null {
  const reason = text.slice(0, judgedChars);
  if (temporaryWords.test(reason)) return false;
  return permanentWords.test(reason) ? true : null;
}

/** The class of a code: 5 is permanent, 4 is not (RFC 3463 section 2, RFC 5321 section 4.2.1). */
export function permanenceOfCode(code: string | null): boolean | null {
  if (code === null) return null;
  if (code.startsWith('5')) return true;
  return code.startsWith('4') ? false : null;
}
