/**
 * What a refusal speaks of, and whether it is believed before other messages have spoken. Pure, and linear in the text.
 *
 * It is believed at once only if it speaks of the recipient or of the message, and of nothing else: what names the sender, its
 * host, its account, a list or a rate may be said of every message, and only other messages show that (docs/retries.md).
 */
import type { Reply } from '../transport.ts';
import type { SmtpPhase } from './reply-table.ts';
import { phrases, topicWords, type Topic } from './reply-words.ts';

export interface Topics {
  readonly topics: ReadonlySet<Topic>;
  /** It says outright that there is no such recipient. */
  readonly isCertain: boolean;
}

/** Longest text that is read: replies are cut there, but decoding could make one longer. */
const maxTextLength = 500;

export function topicsOf(text: string): Topics {
  const topics = new Set<Topic>();
  let isCertain = false;
  const plain = plainOf(text);
  let rest = plain;
  for (const { topic, certain, pattern } of phrases) {
    rest = rest.replace(pattern, (_all, ...groups: unknown[]) => {
      topics.add(topic);
      isCertain ||= certain === true;
      return ` ${groups.filter((group, at) => typeof group === 'string' && at < groups.length - 2).join(' ')} `;
    });
  }
  // "Your address was rejected" is the sender's, though it has the words of a recipient's.
  const said = plain.replace(/\bRESOLVER\.[\s\S]*/i, ' ');
  for (const [topic, pattern] of topicWords) if (pattern.test(topic === 'sender' ? said : rest)) topics.add(topic);
  return { topics, isCertain };
}

const entities: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  '#39': "'",
};
/** Links are no words: their hosts and paths name lists, rates and accounts of all kinds. */
const links = /\bhttps?:\/\/\s?[^\s<>"]+|\bwww\.[^\s<>"]+/gi;
const linksToLists = /rbl|dnsbl|spamhaus|spamcop|sorbs|blocklist|blacklist|reputation|ipcheck/i;
/** From the beginning of a word only: a long word without "@" would be read again from each of its letters. */
const addresses = /(?<![^\s<>()"])[^\s<>()"]{1,320}@[^\s<>()",:;]{1,255}/g;
/** A reason follows these words of Postfix: not they speak, but it. https://www.postfix.org/access.5.html */
const introduction = /\brecipient address(?:es)? rejected ?: ?(?! ?access denied)(?=.*[a-z]{3})/gi;

/** The text without accents, entities, links, addresses and brackets. The dots of an address would end a sentence. */
function plainOf(text: string): string {
  return text
    .slice(0, maxTextLength)
    .replace(/&(#39|[a-z]{2,4});/gi, (all, name: string) => entities[name.toLowerCase()] ?? all)
    .normalize('NFKD')
    .replace(/([a-z])[\u0300-\u036f]+/gi, '$1')
    .normalize('NFC')
    .replace(/[’‘´`]/g, "'")
    .slice(0, maxTextLength)
    .replace(links, (link) => (linksToLists.test(link) ? ' listed ' : /[?&]ip=/i.test(link) ? ' ip ' : ' '))
    .replace(addresses, ' @ ')
    .replace(/[<>()"\s]+/g, ' ')
    .replace(introduction, ' ');
}

/** RFC 3463 section 3.2 to 3.4: the recipient's address, its mailbox, the size of the message. Not 5.1.0, which means anything. */
const recipientCodes = /^[45]\.(?:1\.(?:[1-6]|10)|2\.[1-4]|7\.1[78])$/;
const messageCodes = /^[45]\.(?:3\.4|6\.\d{1,3}|1\.7)$/;
/** What is said of every message of a sender or an account, whatever else is said. */
const elsewhere: readonly Topic[] = ['host', 'list', 'relay', 'account', 'rate', 'limit', 'later', 'trouble'];
/** What leaves a doubt whose fault it is. */
const doubts: readonly Topic[] = [...elsewhere, 'sender', 'content', 'policy'];

/** What a server may add to the code of a recipient and to plain words of one. */
const beside: readonly Topic[] = ['host', 'content', 'policy'];

/** Whom a refusal is believed to speak of; null if only other messages can show whose fault it is. */
export function believedOf(phase: SmtpPhase, reply: Reply): 'recipient' | 'message' | null {
  const { code } = reply;
  // RFC 5321 section 3.8: a server that closes says nothing of a mail.
  if (code === null || !/^[45]/.test(code) || code === '421') return null;
  const text = reply.text ?? '';
  const isTemporary = code.startsWith('4');
  // Greylisting is about sender and recipient together: it says nothing of the connector, and would stop its lane if it were asked.
  if (isTemporary && phase === 'rcpt' && /gr[ae]y ?list/i.test(text)) return 'recipient';
  const { topics, isCertain } = topicsOf(text);
  const without = (others: readonly Topic[], but: readonly Topic[]): boolean =>
    others.every((topic) => but.includes(topic) || !topics.has(topic));
  if (topics.has('size') && without(elsewhere, ['limit'])) return 'message';
  const enhanced = reply.enhancedCode ?? /\(?#([45]\.\d{1,3}\.\d{1,3})\b/.exec(text)?.[1] ?? '';
  // A temporary refusal by a mailbox's code may say "busy" or "later": it is that mailbox's.
  const mild: readonly Topic[] = isTemporary ? ['account', 'later', 'trouble'] : ['account'];
  if (recipientCodes.test(enhanced) && (phase === 'rcpt' || topics.has('recipient'))) {
    return without(doubts, [...mild, ...(isCertain ? beside : [])]) ? 'recipient' : null;
  }
  if (messageCodes.test(enhanced)) return without(elsewhere, mild) ? 'message' : null;
  // RFC 7504 section 4: the domain takes no mail.
  if (code === '556' && phase === 'rcpt') return without(elsewhere, ['host']) ? 'recipient' : null;
  if (phase === 'mail') return null;
  // Words of content are not believed: filters say them of all mail of a sender that they distrust.
  if (topics.has('form') && !topics.has('recipient')) return without(doubts, ['content']) ? 'message' : null;
  return topics.has('recipient') && without(doubts, isCertain ? ['host'] : []) ? 'recipient' : null;
}
