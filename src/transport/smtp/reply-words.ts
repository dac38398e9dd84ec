/**
 * Which words of a refusal speak of what: rows of patterns, each read without regard to case. Data only; reply-topics.ts reads them.
 *
 * Words are general: no row is for one server. The price of too narrow a row is that another message is asked whose fault a refusal
 * is; of too wide a one, lost mail. Each pattern is linear: gaps between words are bounded, and no group with a quantifier is repeated.
 */

/** What a refusal can speak of. All but the first three may be said of every message of a sender. */
export type Topic =
  | 'recipient'
  | 'size'
  | 'form'
  | 'content'
  | 'sender'
  | 'host'
  | 'list'
  | 'relay'
  | 'account'
  | 'rate'
  | 'limit'
  | 'later'
  | 'trouble'
  | 'policy';

export interface Phrase {
  readonly topic: 'recipient' | 'size' | 'form';
  /** Says outright that there is no such recipient: an IP address or a host name beside it changes nothing. */
  readonly certain?: true;
  readonly pattern: RegExp;
}

/** Words that several patterns share, by the name that stands for them there. */
const parts: Readonly<Record<string, string>> = {
  // Whom or what a refusal names as its recipient.
  WHO: oneOf(
    [
      'users?',
      'mail[ -]?box(?:es)?',
      'recipients?',
      'addressees?',
      '(?:e-?mail ?|mail ?)?address(?:es)?',
      'rcpt',
      'alias',
      'inbox',
    ],
    ['customer', 'person', 'subscriber', 'local[ -]part'],
  ),
  // The same in other languages.
  QUI: oneOf(
    [
      'utilisateur',
      'destinataire',
      'boite(?: aux lettres)?',
      'compte',
      'benutzer',
      'empfa(?:e)?nger(?:adresse)?',
      'postfach',
      'adressat',
    ],
    ['usuario', 'destinatario', 'cuenta', 'buzon', 'utente', 'casella', 'utilizador', 'caixa(?: postal)?'],
  ),
  // What is said of a recipient that takes no mail.
  SHUT: oneOf(
    [
      'no longer',
      'invalid',
      'undeliverable',
      'disabled',
      String.raw`inactiv\w{0,5}`,
      'deactivated',
      'discontinued',
      'closed',
      'locked',
    ],
    [
      'frozen',
      'restricted',
      'unallocated',
      'unavailable',
      'rejected',
      'refuse[sd]?',
      'terminated',
      'deleted',
      'removed',
      'archived',
    ],
    ['has (?:changed|moved)', 'been (?:replaced|moved|changed)', 'expired', String.raw`suspend\w{0,4}`, 'prohibited'],
    ['not (?:be )?(?:available|valid|ok|active|listed|present|accept(?:ed|ing)|allowed(?! to)|our)'],
    ["(?:is(?:n't| not)|not) in (?:my|our|the)", 'not local', 'not a local'],
    [
      String.raw`(?:(?:can|does |do |is )?not|\w{2,6}n't|unable to|able to) (?:receive|accept)(?: any| new)?(?: e-?mails?| mails?| messages?)?\b(?! from)`,
    ],
  ),
  // Words before a quota of storage.
  ITS: String.raw`(?:${oneOf(['the', 'its', 'his', 'their', 'this', 'allowed', 'maximum', 'local', 'disk', 'disc', 'mail', 'mailbox', 'storage', 'size', 'of'])} ){0,4}`,
  // At most 60 characters of the same sentence.
  GAP: '([^.;]{0,60}?)',
};

function oneOf(...lists: readonly (readonly string[])[]): string {
  return `(?:${lists.flat().join('|')})`;
}

/** Parts are written in capitals between percent signs. */
function words(source: string): RegExp {
  return new RegExp(
    source.replace(/%([A-Z]+)%/g, (_all, name: string) => parts[name] ?? ''),
    'gi',
  );
}

/**
 * Phrases are read first, and what they match is taken out of the text, so that its words are not read twice: "mailbox quota
 * exceeded" names no rate, and "host not found" no host of the sender. What stands in a gap is read on.
 */
export const phrases: readonly Phrase[] = [
  // There is no such recipient. RFC 3463 section 3.2 in words.
  {
    topic: 'recipient',
    certain: true,
    pattern: words(
      String.raw`\b(?:no such|unknown|unrecogni[sz]ed|non[ -]?exist(?:ent|ing)|not a known|not a registered|not our|unable to find(?: the)?) (?:local |virtual |destination |recipient |(?:e-?mail )?)?%WHO%\b`,
    ),
  },
  {
    topic: 'recipient',
    certain: true,
    pattern: words(
      String.raw`\b(?:%WHO%|account)\b%GAP%\b(?:unknown|(?:does ?(?:n['o]?t|not)|did(?:n't| not)|not|no) (?:seem to )?exists?|(?:(?:can)?not|\w{2,6}n't) (?:be )?(?:found|known|located|recogni[sz]ed)|unrecogni[sz]ed|has left)\b(?: in (?:\w{1,12} ){1,3}table\b)?`,
    ),
  },
  {
    topic: 'recipient',
    certain: true,
    pattern: words(
      String.raw`\b(?:no|not) (?:a )?(?:mail ?box|user|one|account) (?:here|by that|with that|at this|of that)\b|\bno mail ?box\b`,
    ),
  },
  // An address stands in the text as "@".
  {
    topic: 'recipient',
    pattern:
      /@ ?:? ?(?:is )?(?:unknown|not (?:a )?(?:found|known|valid)|no longer (?:valid|exists|available|active)|does(?:n't| not) exist)\b/gi,
  },
  {
    topic: 'recipient',
    certain: true,
    pattern: words(String.raw`\bdoes(?:n't| not) have an? (?:\S{1,60} )?account\b|\bno account by that\b`),
  },
  // French, German, Spanish, Italian and Portuguese, without accents; the subject comes first, or the adjective.
  {
    topic: 'recipient',
    certain: true,
    pattern: words(
      String.raw`\b%QUI%\b(?: (?:ist|est|es|esta|e|du|del|do|der) ?\S{0,20})? (?:inconnue?|invalide|inexistante?|bloquee?|desactivee?|unbekannt|ungultig|ungueltig|existiert nicht|nicht (?:gefunden|bekannt|vorhanden)|desconocid[ao]|inexistente|invalid[ao]|no existe|no encontrad[ao]|sconosciut[ao]|non (?:esiste|trovato)|desconhecid[ao]|nao (?:existe|encontrad[ao]))\b|\b(?:unbekannter|ungueltiger|ungultiger|kein) %QUI%\b|\bno existe (?:\S{1,10} )?(?:%QUI%|persona)\b|\badresse (?:\S{1,20} ){0,5}destinataire invalide\b`,
    ),
  },
  {
    topic: 'recipient',
    certain: true,
    pattern:
      /нет такого (?:пользователя|ящика)|(?:пользователь|ящик|адресат) не (?:найден|существует)|(?:用户|收件人|邮箱|郵箱)[^。]{0,20}不存在|(?:ユーザー?|宛先|あて先)[^。]{0,20}(?:存在しません|不明)/gi,
  },
  // Postfix, and Exchange Online where it has no such recipient.
  { topic: 'recipient', pattern: /\brecipient address(?:es)? rejected ?: ?access denied\b/gi },
  // The recipient's address, mailbox or account is not in use, or takes no mail. RFC 3463 section 3.3 in words.
  {
    topic: 'recipient',
    pattern: words(
      String.raw`\b(?:invalid|illegal|bad|incorrect|inactive|disabled|archived|unroutable|unrouteable|undeliverable|unavailable|not a valid|not an?|no valid)(?: (?:or|and) \w{1,20}|\/\w{1,20})?[ -](?:local |virtual |destination |recipient |envelope )?%WHO%\b`,
    ),
  },
  {
    topic: 'recipient',
    pattern: words(String.raw`\b(?:(?:recipient|user|mailbox|email)(?:'s)? account|%WHO%)\b%GAP%\b%SHUT%\b`),
  },
  {
    topic: 'recipient',
    pattern:
      /\b(?:account (?:is |has been )?closed|no such id)\b|\b(?:recipient|mailbox|user)(?:'s)? (?:account )?(?:is |has been )?blocked\b/gi,
  },
  {
    topic: 'recipient',
    pattern:
      /\b(?:rejected|refused|blocked) by (?:this user|(?:the )?recipients?|user)\b|\b(?:recipient|user) (?:preferences|rules)\b/gi,
  },
  { topic: 'recipient', pattern: /\bRESOLVER\.(?:RST|ADR)\.[\s\S]{0,500}/gi },
  // The domain or the route of the recipient.
  {
    topic: 'recipient',
    pattern:
      /\b(?:unknown host|host(?: or domain(?: name)?)? (?:unknown|not found|unreachable)|host ?unknown|no such (?:domain|host)|bad destination (?:system|host|domain)(?: address)?|null ?mx|no mx records?(?: found)?|domain name not found)\b/gi,
  },
  {
    topic: 'recipient',
    pattern:
      /\b(?:server|host|route|domain) does(?:n't| not) accept (?:any )?(?:incoming )?(?:e-?mails?|mails?|messages?)\b(?! from)|\b(?:recipient|destination) domain\b[^.;]{0,40}\b(?:exist|unknown|not found|invalid|not reachable)\b|\brejected by (?:the )?destination domain\b|\bdomain is not reachable\b/gi,
  },
  // The mailbox is full; its quota is none of sending.
  {
    topic: 'recipient',
    certain: true,
    pattern: /\bquota\b[^.;]{0,20}\b(?:mailbox|this user)\b(?: (?:\w{1,12} ){0,3}full\b)?/gi,
  },
  {
    topic: 'recipient',
    certain: true,
    pattern: words(
      String.raw`\b(?:mail[ -]?box|inbox|mail ?folder|maildir|user(?:'s)?|recipient(?:'s)?|email account)\b%GAP%\b(?:full|over %ITS%quot[ae]|quota (?:\w{1,12} )?(?:exceeded|reached|full)|exe?ceed(?:s|ed)? %ITS%(?:quota|storage|space)(?: limit)?|out of %ITS%(?:storage|space|quota)|reached %ITS%quota|storage (?:limit|full)|storage|space has been used up)\b`,
    ),
  },
  {
    topic: 'recipient',
    pattern: words(
      String.raw`\bmail[ -]?box (?:\w{1,12} )?(?:quota|limit|full)(?: exe?ceeded)?\b|\bmail[ -]?box (?:has )?exceeded %ITS%limit\b|\bover ?%ITS%quot[ae]\b`,
    ),
  },
  {
    topic: 'recipient',
    pattern: words(
      String.raw`\b%QUI%\b[^.;]{0,30}\b(?:pleine|archivee|llen[ao]|pien[ao]|voll|chei[ao])\b|ящик (?:переполнен|заполнен)|邮箱[^。]{0,10}(?:已满|满)`,
    ),
  },
  // The size of the message has limits, too, which are no rate. RFC 1870, RFC 3463 section 3.4.
  {
    topic: 'size',
    pattern:
      /\bsize (?:\w{1,12} ){0,3}(?:limits?|exceed\w{0,3}|maximum|large)\b|\bexceed\w{0,3} (?:\S{1,20} ){0,4}size\b(?: limits?)?|\b(?:message|mail|attachment|content|data|headers?|file) (?:\w{1,12} ){0,2}too (?:big|large|long)\b|\b(?:message )?length exceeds \w{1,20} limit\b/gi,
  },
  // The form of the message, which any sender would be refused for.
  {
    topic: 'form',
    pattern:
      /\b(?:mail|message|forwarding|routing) loop(?:ing)?\b|\bloop(?:ing)? message\b|\bmessage (?:is )?looping\b|\btoo many hops\b|\bhop count exceeded\b|\b(?:invalid|malformed|duplicate|missing) (?:\w{1,12} ){0,2}headers?\b|\bmultiple (?:\S{1,12} ){0,2}headers\b|\bmessage is (?:malformed|not rfc ?\d{3,4} compliant)\b|\bvirus (?:\S{1,60} )?(?:detected|found)\b|\binfected\b/gi,
  },
];

/** Topics of single words, in what the phrases have left. */
export const topicWords: readonly (readonly [Topic, RegExp])[] = [
  // Filters say such words of all mail of a sender that they distrust.
  [
    'content',
    /\bspam\w{0,10}\b|\bvirus\w*\b|\bmalware\b|\bphish\w*|\bcontents?\b|\battachments?\b|\bheaders?\b|\bmime\b|\bscor(?:e|ed|ing)\b|\b(?:dbl|uribl|surbl)\b/i,
  ],
  ['content', /\bdkim\b|\bdmarc\b|\bspf\b|\bspoof\w*|\bforge\w*|\bunauthenticated\b/i],
  // Who sends: the address after MAIL FROM, or in the From header.
  [
    'sender',
    /\bsenders?\b|\bmail ?from\b|\b(?:envelope|header) from\b|\bfrom:? (?:domain|address|header)|\breturn[ -]?path\b|\byour (?:e-?mail )?address\b|\b(?:sending|source|originating|remote) address\b|\bsen(?:d|t|ding) (?:\w{1,12} )?from\b|\bcall(?:out|back)\b|\bemetteur\b|\bexpediteur\b|\babsender\b|\bremitente\b/i,
  ],
  // The machine that sends, and what is known of it.
  [
    'host',
    /\bips?\b|\bclients?\b|\bhost(?:name|s)?\b|\bhelo\b|\behlo\b|\bptr\b|\breverse\b|\brdns\b|\bnetwork\b|\bservice provider\b|\bisp\b|\bgeographic\w*|\bconnect(?:ions?|ed|ing)?\b|\b(?:your|this|mail|sending|submitting) (?:mail )?servers?\b|\bopen (?:relay|proxy)\b|\bmessages? from\b.{0,40}\bwere ?n[o']t sent\b|\btls\b|\bencrypt\w*/i,
  ],
  // An address in brackets or bare. RFC 5321 section 4.1.3.
  [
    'host',
    /\b\d{1,3}(?:\.\d{1,3}){3}\b|\[[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){2,7}[^\]]{0,8}\]|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{0,4}/i,
  ],
  // Lists of senders. A name that ends in "bl" beside an address or a host is one.
  [
    'list',
    /\b(?:black|block|white|deny|allow|reject|exploits block)[ -]?list\w*|\blisted\b|\blisting\b|\b\w{0,20}(?:rbl|dnsbl|sbl|xbl|pbl|css)\b|\breputation\b|\bbanned?\b|\bblack ip\b|\bdelist\w*|\bremoval from this list\b|\bto (?:request removal|unblock)\b|\bblock(?:ed|ing)?\b|\bbloque\w*/i,
  ],
  ['list', /\bspamhaus\b|\bsorbs\b|\bspamcop\b|\bbarracuda\w*|\bproofpoint\b/i],
  // Relaying and the login of the sender.
  ['relay', /\brelay\w*|\bgateway user\b|\bnon-accepted domain\b|\bsmarthost\b|\brcpthosts\b/i],
  [
    'account',
    /\bauth\b|\bauthenti\w*|\bauthori[sz]\w*|\bunauthori[sz]ed\b|\blog ?in\b|\blogged\b|\bcredentials?\b|\bpassword\b|\btokens?\b|\bsubmitter\b|\bsubscription\b|\b(?:your|sending|this|sender'?s?) (?:account|domain)\b|\bdomain\b[^.;]{0,40}\bsuspended\b|\baccount\b|\boutbounds?\b|\boutgoing\b|\byou (?:have (?!entered|given|sent|specified|tried)|are (?!trying)|may|must|can)|\bserver has been suspended\b|\b(?:allowed|permitted|permissions?) to (?:send|use|submit|connect)\b/i,
  ],
  [
    'rate',
    /\brates?\b|\bfrequen\w*|\btoo (?:many|much|fast|quickly|frequent)\b|\bthrottl\w*|\bquota\b|\bexcessive\w*|\bper[ -](?:second|minute|hour|day|month|session|domain)\b|\b(?:this|last) hour\b|\bdaily\b|\bhourly\b|\bslow(?:er| down)?\b|\bunusual\b|\bbulk\b|\bcredits?\b|\bactivity\b|\bmany\b|\bmultiple\b|\bratio\b|\bpercentage\b/i,
  ],
  ['limit', /\blimit(?:s|ed|ing)?\b|\bexceed\w*|\bexcess\b|\bnumber of\b|\bmaximum\b/i],
  [
    'later',
    /\blater\b|\btemporar\w*|\btry again\b|\bagain (?:in|after|slower)\b|\btry after\b|\bsometime\b|\bwait\b|\bretry\w*|\bgr[ae]y ?list\w*|\bdefer\w*|\bminutes?\b|\bseconds?\b|\bplus tard\b|\bspater\b/i,
  ],
  // The server's own trouble.
  [
    'trouble',
    /\b(?:internal|local|technical|system|server|dns|configuration|i\/o|database|resolv\w{1,5}) (?:\w{1,20} )?(?:error|problem|trouble|failure)\b|\berror when\b|\btimeout\b|\btimed out\b|\bout of memory\b|\bsystem (?:storage|resources|full)\b|\btransaction failed\b|\bservice (?:\w{1,20} )?(?:unavailable|not available)\b|\bshutting down\b|\bbusy\b|\btechnical\b|\btrouble\b|\blookup fail\w*/i,
  ],
  [
    'policy',
    /\bpolic(?:y|ies)\b|\bsecurity\b|\bguidelines\b|\babuse\b|\bsuspicious\w*|\battacks?\b|\bprohibit\w*|\bforbidden\b|\baccess (?:\w{1,12} )?deni\w*/i,
  ],
];
