/**
 * What a refused login means: rows of data, of which the first match wins, each with its source. A part of the reply table.
 *
 * Only a wrong password is a fault `auth`. Servers refuse AUTH for rates, quotas and troubles of their own as well, with any code: an
 * operator who is told to look after the password would look in vain, and the lane would wait for up to an hour. Words are general: no
 * row is for one server. Where a text names a wrong password beside other things, the password counts: each further try could lock
 * the account.
 */
import type { FaultClass } from '../transport.ts';
import type { ReplyRule } from './reply-table.ts';

const row = (fault: FaultClass, pattern: Pick<ReplyRule, 'code' | 'text'>, source: string): ReplyRule => ({
  phases: ['auth'],
  ...pattern,
  verdict: { kind: 'fault', fault },
  source,
});

/** A limit of failed logins, and what follows from it for a while. Each try could begin it anew. */
const failedLogins =
  /\btoo (?:many|much)\b[^.;]{0,40}\bfail\w*|\btoo many (?:\w+ )?(?:invalid|bad|incorrect|wrong|unsuccessful) (?:\w+ )?(?:attempts|log[io]ns?|auth\w*|passwords|credentials|tries)\b|\b(?:failed|invalid|bad|incorrect|wrong|unsuccessful)\b[^.;]{0,40}\b(?:attempts|log[io]ns|tries)\b[^.;]{0,40}\b(?:exce\w*|limit\w*|reached)|\b(?:maximum|max|limit)\b[^.;]{0,30}\b(?:failed|invalid|bad|incorrect|wrong|unsuccessful) (?:\w+ )?(?:attempts|log[io]ns|tries)\b|\btemporar\w*\b[^.;]{0,40}\b(?:lock|block|bann|suspend|disab)\w*|\b(?:lock|block|bann|suspend|disab)\w*\b[^.;]{0,30}\btemporar\w*/i;

/** The login itself is wrong, or a person must do something about it. */
const wrongLogin =
  /\b(?:password|passcode|passwd|credentials?|user ?name|login name|authentication data)\b[^.;]{0,40}\b(?:incorrect|invalid|wrong|bad|not (?:accepted|valid|correct)|mismatch\w*|not match|expired|rejected|unknown)\b|\b(?:incorrect|invalid|wrong|bad|unknown) (?:\w+ (?:or|and) )?(?:\w+ )?(?:password|passcode|credentials?|user ?name|login|user|authentication data)\b|\bpassword (?:age|length)\b|\bpassword\b[^.;]{0,20}\bexceed|\b(?:web ?browser|(?:application-specific|app|application) password|2-step|two-factor|multi-?factor|security defaults|conditional access)\b/i;

const quotaWords =
  /\bquota\b|\bcredits?\b|\bbalance\b|\binsufficient funds\b|\b(?:daily|monthly)\b|\bper (?:day|month)\b|\b(?:today|this month)\b|\bunusual sending\b/i;

const counted =
  'limits?|rate|maximum|max|number|count|allowance|connections?|sessions?|messages?|mails?|e-?mails?|logins?|attempts|requests?|users?';
const rateWords = new RegExp(
  [
    String.raw`\btoo (?:many|much|fast|often|frequent\w*|quick\w*|soon)\b|\brates?\b|\brate-?limit\w*|\bthrottl\w*|\bfrequen\w*|\bslow(?:er| down)\b`,
    String.raw`\bzu (?:viele|oft|häufig)\b|\btrop (?:de|souvent)\b|\bdemasiad|\btropp[ie]\b|\bmuit[ao]s\b|\bte veel\b|слишком (?:много|част)|频繁|頻繁|过多|過多`,
    String.raw`\b(?:exce(?:e|s)\w*|reached|exhausted|used up)\b[^.;]{0,40}\b(?:${counted})\b`,
    String.raw`\b(?:${counted})\b[^.;]{0,40}\b(?:exce(?:e|s)d\w*|reached|exhausted|used up)\b`,
    String.raw`\b(?:sending|send|login|connection|session|message|mail|hourly|plan|account) limit\w*|\bconcurrent\w*\b|\bper (?:second|minute|hour)\b|\bhourly\b`,
  ].join('|'),
  'i',
);

/** The server's own trouble. Not "(reason unavailable)", which Postfix says of a wrong password; nor "TLS 1.2 or later". */
const trouble =
  /\btempora\w*|(?<!\bor )\blater\b|\bvorübergehend|\bspäter\b|\bplus tard\b|\bmás tarde\b|\bpiù tardi\b|\bmais tarde\b|\btijdelijk|временно|позже|稍后|稍後|暂时|\bat present\b|\btry after\b|\b(?:internal|system|server|backend|database|ldap|dns|directory|lookup|local|technical|configuration) (?:\w+ )?(?:error|problem|failure|trouble|busy|unavailable)\b|\b(?:service|server|system|backend|database|directory)\b[^.;]{0,30}\b(?:unavailable|not available|busy|down|overloaded|unreachable)\b|\btimed? ?-?out\b|\bconnection (?:lost|refused)\b|\b(?:unable|cannot|could not|failed) to (?:connect|contact|reach)\b|\bmaintenance\b|\bshutting down\b|\bout of memory\b|\bno resources\b/i;

/** The address of this host, or where it is, and not the login. */
const hostWords =
  /\b(?:ip|ip[- ]?address|client|host|network|country|region)\b[^.;]{0,40}\b(?:block\w*|bann\w*|\w*listed|denied|refused|rejected|not (?:authori[sz]ed|allowed|permitted))\b|\b(?:black|block|deny) ?list(?:ed)?\b|\b(?:spamhaus|reputation)\b/i;

const encryptionFirst =
  /\bstarttls\b|\bencryption (?:is )?required\b|\brequires? (?:an? )?(?:encrypt\w*|secure|tls|ssl)\b|\b(?:tls|ssl) (?:is )?required\b/i;

/** Words of a mechanism; "authentication failed" is the password's. */
const mechanismWords =
  /\bmechanism\b|auth(?:entication)? (?:type|method|scheme)|unrecognized auth|(?:plain|login|cram-md5|xoauth2) (?:is )?not (?:supported|available|allowed|enabled)/i;
const credentialWords = /password|passcode|credential|browser|account|\buser/i;

export const loginRules: readonly ReplyRule[] = [
  row(
    'quota',
    { code: /^[45]/, text: failedLogins },
    'https://senders.yahooinc.com/smtp-error-codes/ (535 5.7.0 #AUTH005)',
  ),
  row('auth', { code: /^[45]/, text: wrongLogin }, 'RFC 4954 section 6 (535); Gmail 534 5.7.9 and 5.7.14'),
  row(
    'quota',
    { code: /^[45]/, text: quotaWords },
    'https://www.twilio.com/docs/sendgrid/for-developers/sending-email/smtp-errors-and-troubleshooting (451)',
  ),
  row(
    'throttled',
    { code: /^[45]/, text: rateWords },
    'https://support.google.com/a/answer/3726730 (454 4.7.0, 421 4.7.0)',
  ),
  row('throttled', { code: /^421$/ }, 'RFC 5321 section 3.8'),
  row(
    'unreachable',
    { code: /^[45]/, text: trouble },
    'RFC 4954 section 6 (454 4.7.0 Temporary authentication failure)',
  ),
  row(
    'blocked',
    { code: /^5/, text: hostWords },
    'https://support.jetemail.com/outbound/smtp-error-codes/535-IP-not-authorized',
  ),
  row('config', { code: /^5/, text: encryptionFirst }, 'RFC 3207 section 4 (530); RFC 4954 section 6 (538)'),
  row(
    'config',
    { code: /^(?:50[0-4]|538|555)$/ },
    'RFC 4954 section 4 (504), section 6 (500, 538); RFC 5321 section 4.1.1.11',
  ),
  row('auth', { code: /^5/, text: credentialWords }, 'RFC 4954 section 6 (534, 535); Exchange Online 535 5.7.139'),
  row('config', { code: /^534$/ }, 'RFC 4954 section 6: the mechanism is too weak'),
  row('config', { code: /^5/, text: mechanismWords }, 'RFC 4954 section 4: the mechanism is not served'),
  row('auth', { code: /^(?:5|432$)/ }, 'RFC 4954 section 6 (432, 535); Exchange Online 550 5.7.30'),
  row('unreachable', {}, 'RFC 4954 section 4.7: temporary; and what is no reply to AUTH'),
];

/** Whether the text speaks of a wrong password, whatever else it says. */
export function namesWrongLogin(text: string): boolean {
  return wrongLogin.test(text);
}

/** Whether the text of a refused mechanism speaks of the login: another mechanism would be a second failed login. */
export function namesCredentials(text: string): boolean {
  return credentialWords.test(text);
}
