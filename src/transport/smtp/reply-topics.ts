/**
 * What the words of a refusal speak of. Pure, and linear in the text, which is cut at 500 characters before.
 *
 * A refusal is believed at once only if it speaks of the recipient or of the message, and of nothing else: what names the sender's
 * host, its account, a list or a rate may be said of every message, and only other messages show that (docs/retries.md). Words are
 * general: no row is for one server. The price of too narrow a row is that another message is asked; of too wide a one, lost mail.
 */
import type { Reply } from '../transport.ts';
import type { SmtpPhase } from './reply-table.ts';

export type Topic = 'recipient' | 'message' | 'host' | 'account' | 'list' | 'relay' | 'rate' | 'later' | 'trouble';

interface Row {
  readonly topic: Topic;
  readonly pattern: RegExp;
}

/** Where a mail comes from: an address in brackets or bare, or words for the machine that sent it. RFC 5321 section 3.6.2, 4.1.4. */
const ipAddress =
  /\b\d{1,3}(?:\.\d{1,3}){3}\b|\[[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}[^\]]{0,8}\]|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}/i;

const rows: readonly Row[] = [
  // The recipient's address, mailbox or account: RFC 3463 section 3.2 and 3.3 in words.
  {
    topic: 'recipient',
    pattern:
      /\b(?:user|mailbox|recipients?|address(?:ee)?|rcpt|alias|inbox|customer|destinataire|utilisateur)\b[^.;]{0,60}\b(?:unknown|inconnu|invalid\w*|not (?:be )?(?:found|exist|available|valid|ok|allowed|accept\w*|known|our|active|listed in)|does ?(?:n[o']t|not) (?:exist|have)|no longer|disabled|inactiv\w*|deactivated|closed|locked|frozen|restricted|unallocated|unavailable|rejected|refused?|full|has (?:changed|been replaced|moved)|prohibited|expired|suspend\w*|storage)/i,
  },
  {
    topic: 'recipient',
    pattern:
      /\b(?:unknown|no such|invalid|disabled|bad|unrouteable|undeliverable|non-?existent|no valid|not our) (?:local )?(?:user|mailbox|recipients?|address|customer|destination|account|person)\b|\bno mailbox\b|\bdoes not have an account here\b|\b(?:user|mailbox|recipient) (?:\S{1,80} )?(?:not exist|unknown)\b|\brejected by (?:this user|the recipient|recipients)\b|\baccount (?:is )?closed\b|\brecipient account\b[^.;]{0,40}\bblocked\b|\bRESOLVER\.(?:RST|ADR)\.|\brejected by (?:the )?destination domain\b|\b(?:server|host|route|domain) does not accept\b/i,
  },
  // Content, header fields, size, hops, signatures and policies about the From: RFC 3463 section 3.4, 3.7, 3.8 in words.
  {
    topic: 'message',
    pattern:
      /\bspam\w*\b|\bvirus\w*\b|\bmalware\b|\bphish\w*|\bcontents?\b|\battachments?\b|\bmalformed\b|\bheaders?\b|\bmime\b|\bdkim\b|\bdmarc\b|\bspf\b|\bspoof\w*|\bmail loop\b|\bloop(?:ing)?\b|\btoo many hops\b|\b(?:message|mail) (?:is )?too (?:big|large|long)\b|\btoo (?:big|large|long)\b|\bsize (?:limit|exceed\w*)|\brfc ?5?322\b|\bmessage (?:score|was classified)|\bscor(?:e|ed|ing)\b|\binvalid (?:data|structure)\b|\bdbl\b|\buribl\b|\bsurbl\b|\bfrom header\b|\bmultiple (?:subject|addresses)\b/i,
  },
  // The machine that sends, and what is known of it.
  {
    topic: 'host',
    pattern:
      /\bips?\b|\bip[ -]?address|\bclient\b|\bhost(?:name|s)?\b|\bhelo\b|\behlo\b|\bptr\b|\breverse\b|\brdns\b|\bnetwork\b|\bservice provider\b|\bisp\b|\bgeographic\w*|\bconnect(?:ions?|ed|ing)?\b|\b(?:your|this|mail|sending|submitting) server\b|\bopen relay\b|\bmessages? from\b.{0,40}\bwere ?n[o']t sent\b/i,
  },
  { topic: 'host', pattern: ipAddress },
  // Lists of senders. A name that ends in "bl" beside an address or a host is one.
  {
    topic: 'list',
    pattern:
      /\b(?:black|block|white|deny|reject|exploits block)[ -]?list\w*|\blisted\b|\blisting\b|\b\w*(?:rbl|dnsbl|sbl|xbl|pbl|css)\b|\bspamhaus\b|\bsorbs\b|\bspamcop\b|\bbarracuda\w*|\bproofpoint\b|\breputation\b|\bbanned?\b|\bblack ip\b|\bbad ip\b|\bdelist\b|\bremoval from this list\b|\bto (?:request removal|unblock)\b|\bblocked(?: using|:? -)?\b/i,
  },
  // Relaying and the login of the sender.
  { topic: 'relay', pattern: /\brelay\w*|\bgateway user\b|\bnon-accepted domain\b|\bsmarthost\b/i },
  {
    topic: 'account',
    pattern:
      /\bauth\b|\bauthenti\w*|\bauthori[sz]\w*|\blog ?in\b|\blogged\b|\bcredentials?\b|\bpassword\b|\btokens?\b|\bsubmitter\b|\bsubscription\b|\b(?:your|sending|this|sender'?s?) (?:account|domain)\b|\bdomain\b[^.;]{0,40}\bsuspended\b|\baccount\b|\boutbounds?\b|\bserver has been suspended\b|\bsender (?:frequency|rejected\b.{0,200}\berror codes)/i,
  },
  {
    topic: 'rate',
    pattern:
      /\brates?\b|\bfrequen\w*|\btoo (?:many|much|fast|quickly|frequent)\b|\bthrottl\w*|\bquota\b|\blimit(?:s|ed|ing)?\b|\bexce(?:e|s)\w*|\bper (?:second|minute|hour|day|month|session)\b|\b(?:this|last) hour\b|\bdaily\b|\bhourly\b|\bslow(?:er| down)?\b|\bunusual\b|\bbulk\b|\bcredits?\b|\bactivity\b/i,
  },
  {
    topic: 'later',
    pattern:
      /\blater\b|\btemporar\w*|\btry again\b|\bagain (?:in|after|slower)\b|\btry after\b|\bsometime\b|\bwait\b|\bretry\w*|\bgr[ae]y ?list\w*|\bdefer\w*|\bminutes?\b|\bseconds?\b|\bplus tard\b/i,
  },
  // The server's own trouble.
  {
    topic: 'trouble',
    pattern:
      /\b(?:internal|local|technical|system|server|dns|configuration|i\/o|database|resolv\w*) (?:\w+ )?(?:error|problem|trouble|failure)\b|\berror when\b|\btimeout\b|\btimed out\b|\bout of memory\b|\bsystem (?:storage|resources)\b|\btransaction failed\b|\bservice (?:\w+ )?(?:unavailable|not available)\b|\bshutting down\b|\bbusy\b|\btechnical\b|\btrouble\b/i,
  },
];

/** Links are no words: their hosts and paths name lists, rates and accounts of all kinds. */
const links = /\bhttps?:\/\/\s?[^\s<>"]+|\bwww\.[^\s<>"]+/gi;

/** The recipient's account, and not the one that sends. Exchange says whom a restricted recipient takes mail from. */
const ownAccount =
  /\b(?:recipient|user|mailbox)(?:'s)? account\b|\baccount (?:is )?closed\b|\bhave an account here\b|\bRESOLVER\.(?:RST|ADR)\./i;

/** The quota of a mailbox, and not one of sending. */
const fullMailbox =
  /\b(?:mailbox|inbox|user|recipient'?s?|email account)\b[^.;]{0,60}\b(?:over ?quot[ae]|quota|full|storage|limit exe?ceeded)\b|\bmailbox (?:\w+ )?(?:quota|limit|full)\b|\bquota\b[^.;]{0,20}\b(?:mailbox|this user)\b|\bover ?quota\b/i;

const sendingWords = /\bsend\w*|\bsent\b|\boutgoing\b|\boutbound\b|\bdaily\b|\bhourly\b|\byou have\b|\bmessages?\b/i;

export function topicsOf(text: string): ReadonlySet<Topic> {
  const plain = text.replace(links, (link) =>
    /(?:rbl|dnsbl|spamhaus|spamcop|sorbs|blocklist|blacklist|reputation|ipcheck|[?&]ip=)/i.test(link)
      ? ' listed '
      : ' ',
  );
  // An address says nothing, and its dots would end a sentence.
  const words = plain.replace(/[^\s<>()"]{1,320}@[^\s<>()"]{1,255}/g, ' ');
  const topics = new Set(rows.filter(({ pattern }) => pattern.test(words)).map(({ topic }) => topic));
  if (ownAccount.test(words)) topics.delete('account');
  if (fullMailbox.test(words) && !sendingWords.test(words)) {
    topics.add('recipient');
    topics.delete('rate');
  }
  return topics;
}

/** RFC 3463 section 3.2 to 3.4: the recipient's address, its mailbox, the size of the message. Not 5.1.0, which means anything. */
const recipientCodes = /^[45]\.(?:1\.(?:[1-6]|10)|2\.[1-4])$/;
const messageCodes = /^[45]\.(?:3\.4|6\.\d{1,3}|1\.7)$/;
/** What is said of every message of a sender or an account, whatever else is said. */
const elsewhere: readonly Topic[] = ['host', 'list', 'relay', 'account', 'rate', 'later', 'trouble'];

/** The size of a message has limits, too, which are no rate. RFC 1870, RFC 3463 section 3.4. */
const sizeWords =
  /\bsize (?:\w+ ){0,3}(?:limit|exceed\w*|maximum|large)|\bexceed\w* (?:\w+ ){0,4}size\b|\b(?:message|mail|attachment|content|data|headers?) (?:\w+ ){0,2}too (?:big|large|long)\b/i;

/** Whom a refusal is believed to speak of; null if only other messages can show whose fault it is. */
export function believedOf(phase: SmtpPhase, { code, enhancedCode, text }: Reply): 'recipient' | 'message' | null {
  if (code === null || !/^[45]/.test(code)) return null;
  // Greylisting is about sender and recipient together: it says nothing of the connector, and would stop its lane if it were asked.
  if (code.startsWith('4') && phase === 'rcpt' && /gr[ae]y ?list/i.test(text ?? '')) return 'recipient';
  const topics = topicsOf(text ?? '');
  if (sizeWords.test(text ?? '') && !topics.has('later')) return 'message';
  const others = elsewhere.filter((topic) => topics.has(topic));
  const enhanced = enhancedCode ?? /\(?#([45]\.\d{1,3}\.\d{1,3})\b/.exec(text ?? '')?.[1] ?? '';
  const isTemporary = code.startsWith('4');
  // A temporary refusal by a mailbox's code may say "busy" or "later": it is that mailbox's.
  const mild: readonly Topic[] = isTemporary ? ['account', 'later', 'trouble'] : ['account'];
  const strange = others.filter((topic) => !mild.includes(topic));
  if (recipientCodes.test(enhanced) && (phase === 'rcpt' || topics.has('recipient'))) {
    return strange.length === 0 ? 'recipient' : null;
  }
  if (messageCodes.test(enhanced)) return strange.length === 0 ? 'message' : null;
  // Words of content are not believed: filters say them of all mail of a sender that they distrust.
  return topics.has('recipient') && others.length === 0 && phase !== 'mail' ? 'recipient' : null;
}
