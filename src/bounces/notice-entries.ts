/** Finds the recipients in the text of a report, each with the reason beside it: by the form of lists and sentences that mail systems write, not by system. */
import { addressesIn } from './addresses.ts';
import { maxLineChars, maxRecipients } from './bounds.ts';
import { permanenceOf, smtpCodeIn, statusIn } from './codes.ts';
import { collapsed } from './fields.ts';

interface NoticeEntry {
  readonly address: string;
  /** The address that the mail was sent to, where a server expanded or forwarded it. */
  readonly original: string | null;
  readonly reason: string;
}

/** Addresses in lower case that decide whether a found one is a recipient. */
export interface Known {
  /** Those of the report itself: its sender, and where it went. */
  readonly own: ReadonlySet<string>;
  /** Recipients that the header or the status names. */
  readonly recipients: ReadonlySet<string>;
}

/** The sentence before the list of recipients. Addresses above it are those of senders and postmasters. */
const introduction =
  /(?:following|these|those|below) (?:\w+ )?(?:e-?mail )?(?:recipient|address|user|destination)|address(?:es|\(es\))? (?:had|failed)|(?:not|n't|cannot|unable to|could not|error) (?:yet )?(?:be(?:en)? )?(?:deliver|reach|sen[dt])\w*(?: \w+){0,2} (?:to|is|are)\b|undeliverable to|failed (?:permanently|to deliver)|(?:has|have) (?:not yet |been )(?:been )?(?:delivered|delayed)|did not reach|recipients? (?:or groups?|of this)|unsent recipient|^error message below/i;
/** The end of a line above an address that is no recipient. */
const senderAbove = /(?:sent by|sender|message from|mail from|\bfrom|contact|postmaster|assistance)\W*$/i;
/** Lines of further text that concern every recipient and name none. */
const heading = /^\s*-{2,}|^\s*={3,}|^\s*_{5,}/;

/** One line that names a recipient. */
interface Head {
  readonly at: number;
  readonly address: string;
  /** What the line says beside the address. */
  readonly rest: string;
}

export interface NoticeReading {
  readonly entries: readonly NoticeEntry[];
  /** What the text says of all recipients: where there are several, only what stands above the first. */
  readonly common: string;
}

/** Whether the text says that a mail did not reach its recipients. */
export function isIntroduced(lines: readonly string[]): boolean {
  return lines.some((line) => introduction.test(line));
}

export function readEntries(lines: readonly string[], known: Known): NoticeReading {
  const start = lines.findIndex((line) => introduction.test(line));
  const heads = headsFrom(lines, Math.max(start, 0), known);
  const others = heads.length === 0 && start > 0 ? headsFrom(lines, 0, known) : heads;
  // Who wrote to himself: where no other address is named, it is his.
  const anyone = { own: new Set<string>(), recipients: known.recipients };
  const found = others.length === 0 && start >= 0 ? headsFrom(lines, start, anyone) : others;
  const reply = transcript(lines);
  const entries =
    found.length > 0 ? found.map((head, i) => entryOf(head, lines, found[i + 1]?.at, reply)) : inTranscript(lines);
  const merged = new Map<string, NoticeEntry>();
  for (const entry of entries) {
    const key = entry.address.toLowerCase();
    const first = merged.get(key);
    merged.set(key, first === undefined ? entry : together(first, entry));
  }
  const common = merged.size > 1 ? lines.slice(0, found[0]?.at ?? 0) : lines;
  return { entries: [...merged.values()].slice(0, maxRecipients), common: cut(common.join(' ')) };
}

function cut(text: string): string {
  return text.slice(0, maxLineChars);
}

function headsFrom(lines: readonly string[], start: number, known: Known): Head[] {
  const heads: Head[] = [];
  let above = '';
  /** The indentation of the paragraph's first recipient: what is indented further belongs to its reason. */
  let indent = Infinity;
  for (let at = start; at < lines.length && heads.length < maxRecipients; at += 1) {
    const line = lines[at] ?? '';
    if (line.trim() === '') {
      indent = Infinity;
      continue;
    }
    const own = line.search(/\S/);
    const head = own > indent ? null : headOf(line, at, known);
    if (head !== null && isRecipient(head.address, above, known)) {
      heads.push(head);
      indent = own;
    }
    above = line;
  }
  return heads;
}

function isRecipient(address: string, above: string, { own, recipients }: Known): boolean {
  const key = address.toLowerCase();
  return recipients.has(key) || !(own.has(key) || senderAbove.test(above.slice(-200)));
}

/** What may stand before an address that begins a line: a bullet, brackets, a label. */
const beforeAddress =
  /^[\s*•\-–[|>]*(?:<|\[|"|'|\(?mailto:|(?:[a-z]+: [a-z]+, )?(?:to|recipient(?: address)?|(?:final|failed)[- ]recipients?|addressed to|rcpt to|e-?mail|address|intended recipient|error-for)\s*:\s*['"<]?)?$/i;
/** In a line that says the reason first and the address last. */
const beforeLast =
  /(?:generated|expanded) from|addressed to|unknown|mailbox|user|undeliver|fail|reject|refus|recipient|address|deliver|exceed|quota|full|message to/i;
const goesOn = /^:|^\(and other\b|^reason\b|^(?:was|because|could|couldn|has|wasn|is)\b/i;

function headOf(line: string, at: number, { recipients }: Known): Head | null {
  const first = addressesIn(line)[0];
  if (first === undefined || /^\s*(?:>>>|<<<) [A-Z0-9]{3,4}[ -]/.test(line)) return null;
  const { address, start, end } = first;
  const before = line.slice(0, start);
  const after = line.slice(end).replace(/^['"`\]>]+/, '');
  if (beforeAddress.test(before)) return { at, address, rest: afterAddress(after) };
  if (before.length > 300 || !/[:\s'"<(]$/.test(before) || !beforeLast.test(before)) return null;
  const tail = after.replace(/^[)\].,\s]+/, '');
  if (tail !== '' && !goesOn.test(tail) && !recipients.has(address.toLowerCase())) return null;
  return { at, address, rest: goesOn.test(tail) && tail.startsWith(':') ? tail.slice(1) : line };
}

/** Without what joins address and reason: `: reason`, `... reason`, ` - reason`, `<mailto:…>`, ` on Wed, 15 Feb …` (Exchange 5.5). */
function afterAddress(text: string): string {
  const rest = text.replace(/^\s*(?:\([^()\s@]+@[^()\s@]+\))?\s*<mailto:[^<>]*>/, '');
  if (/^\s+on (?:\w{3}, )?\d/.test(rest)) return '';
  return rest.replace(/^\s*<[^<>\s@]+@[^<>\s@]+>/, '').replace(/^\s*(?:[:;,]|\.\.\.|[-–—]\s)\s*/, '');
}

/** `(expanded from <a@b>)`, `(ultimately generated from a@b)`, `generated by a@b`: the address before it was forwarded. */
const origin = /\(?(?:ultimately )?(?:expanded|generated|forwarded|redirected) (?:from|by):?\s*[<"']?(?=\S+@)/i;

function entryOf(
  { at, address, rest }: Head,
  lines: readonly string[],
  next: number | undefined,
  reply: string | null,
): NoticeEntry {
  const below = lines.slice(at + 1, next);
  // The reason is what follows without an empty line; only where there is nothing, the text after it.
  const end = below.findIndex((line) => line.trim() === '' || heading.test(line));
  // In a list of fields the next ones say nothing of it.
  const isField = rest === '' && /^\s*RCPT TO:/i.test(lines[at] ?? '') && fieldLine.test(below[0] ?? '');
  const beside = isField ? [] : below.slice(0, end < 0 ? 40 : Math.min(end, 40));
  const near = collapsed(cut([rest, ...beside].join(' ')));
  const found = origin.exec(near);
  const original =
    found === null ? null : (addressesIn(near.slice(found.index, found.index + 400))[0]?.address ?? null);
  const plain = near
    .replaceAll(/\([^()]{0,40}(?:expanded|generated|forwarded|redirected) (?:from|by)[^()]{0,400}\)/gi, ' ')
    .replace(/^[\s:)]+/, '');
  const reason = bracketed(collapsed(plain));
  const paragraph = apart(end < 0 ? [] : below.slice(end, end + 40));
  // A sentence that names the recipient says less than the reply of the server below it.
  const isSentence = rest === lines[at] && smtpCodeIn(reason) === null && saysWhy(paragraph);
  if (reason !== '' && !isSentence) return { address, original, reason: quoted(reason) };
  const elsewhere = reply ?? paragraph;
  return {
    address,
    original,
    reason: quoted(elsewhere === '' ? above(lines.slice(Math.max(at - 20, 0), at)) : elsewhere),
  };
}

const fieldLine = /^\s*(?:from|to|cc|subject|date|sent date|size)\b[^:]{0,20}:/i;

function saysWhy(text: string): boolean {
  return smtpCodeIn(text) !== null || permanenceOf(text) !== null;
}

/** `(reason: 550 …)` of Sendmail, `(user not found)` of GroupWise. */
function bracketed(text: string): string {
  return /^\((?:reason:\s*)?(.*?)\)?$/i.exec(text)?.[1] ?? text;
}

/** `Remote Server returned '550 …'`: Exchange puts the reply of the server in quotes. */
function quoted(text: string): string {
  return /\b(?:returned|said|says):?\s*'([245]\d\d[^']*(?:'\w[^']*)*)'?/i.exec(text)?.[1] ?? text;
}

/** The first paragraphs below, up to the next heading: "Technical details of permanent failure: …". */
function apart(lines: readonly string[]): string {
  const text = lines.filter((line) => line.trim() !== '');
  const end = text.findIndex((line, at) => at > 0 && heading.test(line));
  return collapsed(
    text
      .slice(0, end < 0 ? 12 : Math.min(end, 12))
      .filter((line) => !heading.test(line))
      .join(' '),
  );
}

/** A reply that stands above the recipient: the last line with a code that names no other. */
function above(lines: readonly string[]): string {
  return lines.findLast((line) => smtpCodeIn(line) !== null && addressesIn(line).length <= 1)?.trim() ?? '';
}

const transcriptHeading = /transcript of (?:the )?session/i;

/** Sendmail's transcript: the first refusal of the other server, else the first line with a code. */
function transcript(lines: readonly string[]): string | null {
  const at = lines.findIndex((line) => transcriptHeading.test(line));
  if (at < 0) return null;
  const below = lines.slice(at + 1);
  const reply = below.find((line) => /^<<< [45]\d\d/.test(line)) ?? below.find((line) => /^[45]\d\d /.test(line));
  return reply === undefined ? null : reply.replace(/^<<< /, '');
}

/**
 * Old Sendmail has no list: the addresses stand in the transcript, as `550 <a@b>... User unknown` or `>>> RCPT To:<a@b>`; InterScan
 * writes `Sent <<< RCPT TO:<a@b>`, without a heading.
 */
function inTranscript(lines: readonly string[]): NoticeEntry[] {
  const at = lines.findIndex((line) => transcriptHeading.test(line));
  const below = lines.slice(at + 1);
  return below.flatMap((line, i) => {
    const address = addressesIn(line)[0]?.address;
    if (address === undefined) return [];
    if (at >= 0 && /^[45]\d\d /.test(line)) return [{ address, original: null, reason: line }];
    if (!(at < 0 ? /^Sent <<< RCPT TO:/i : /^>>> RCPT TO:/i).test(line)) return [];
    const mark = at < 0 ? 'Received >>> ' : '<<< ';
    const reply =
      below
        .slice(i + 1, i + 4)
        .find((each) => each.startsWith(mark))
        ?.slice(mark.length) ?? '';
    return /^[45]/.test(reply) ? [{ address, original: null, reason: reply }] : [];
  });
}

/** Exchange names an address twice: with a sentence for people, then with the reply of the server. */
function together(a: NoticeEntry, b: NoticeEntry): NoticeEntry {
  const hasCode = (text: string): boolean => smtpCodeIn(text) !== null || statusIn(text) !== null;
  const reason = a.reason === '' || (!hasCode(a.reason) && hasCode(b.reason)) ? b.reason : a.reason;
  return { address: a.address, original: a.original ?? b.original, reason };
}
