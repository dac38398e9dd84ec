/**
 * Reads the delay that a server names in the text of a reply, and bounds the delays that servers ask for. Pure, and linear.
 *
 * A time is a delay only if a word before it says so, and only words without a meaning of their own stand between: servers also
 * write limits ("100 messages per hour"), addresses, ports and versions. The price: an unusual sentence is not read, and the
 * schedule holds. A delay that is misread could stop a lane for a day.
 */
import { unreachable } from '../errors.ts';
import {
  actions,
  durations,
  ends,
  fillers,
  notDelays,
  numbers,
  otherEnds,
  prepositions,
  softWords,
  units,
  waits,
} from './delay-words.ts';

/** A shorter delay would ask the server again at once; a longer one is not believed. */
const minDelayMs = 1_000;
const maxDelayMs = 24 * 60 * 60 * 1_000;

/** Words, numbers, clocks and marks. Hosts, IP addresses and versions stay one token, which is no word. */
const token = /(?:[^,;:!?()"<>]|,(?=\d{3}(?!\d))|:(?=.))+|[,;!?]/g;

/** "60秒后重试", "5分後に再試行": unit, "after", and then "again", which keeps "30秒后超时" (a timeout) apart. */
const cjk =
  /(\d{1,6})\s?(秒|分|小时|小時|時間|天|日)(?:钟|鐘)?(?:之|以)?(?:后|後)[^。;\d]{0,8}?(?:再|重|もう一度|やり直)/;
const cjkUnitMs: Readonly<Record<string, number>> = {
  秒: 1_000,
  分: 60_000,
  小时: 3_600_000,
  小時: 3_600_000,
  時間: 3_600_000,
  天: 86_400_000,
  日: 86_400_000,
};

/** How many words may stand between "retry" and its delay. */
const maxGap = 8;

/** The delay in ms, between one second and one day; null if the text names none. */
export function askedDelayMs(text: string): number | null {
  const tokens = tokensOf(text);
  let cue: Cue | null = null;
  let isOther = false;
  for (let at = 0; at < tokens.length; at += 1) {
    const word = tokens[at] ?? '';
    const found = durationAt(tokens, at);
    if (found !== null) {
      const isDelay =
        (cue !== null && isAnnounced(tokens, cue, at)) ||
        precedesAction(tokens, at, found.next) ||
        (tokens[found.next] === 'remaining' && !isOther);
      if (isDelay && !notDelays.has(tokens[found.next] ?? '')) return boundedDelayMs(found.ms);
      cue = null;
      at = found.next - 1;
      continue;
    }
    const kind = cueOf(word, tokens[at - 1] ?? '', isOther);
    if (kind !== null) cue = { at, kind };
    else if (!fillers.has(word) && !softWords.has(word) && !prepositions.has(word) && !durations.has(word)) cue = null;
    isOther = word !== sentenceEnd && (isOther || otherEnds.has(word));
  }
  const east = cjk.exec(text);
  return east === null ? null : boundedDelayMs(Number(east[1]) * (cjkUnitMs[east[2] ?? ''] ?? 1_000));
}

/** A delay that a server asks for, held between one second and one day. */
export function boundedDelayMs(ms: number): number {
  return Math.min(Math.max(ms, minDelayMs), maxDelayMs);
}

/** The last word that announces a delay. `action`: comes after it. `wait`: lasts so long. `end`: ends with it. `header`: "Retry-After: 60". */
interface Cue {
  readonly at: number;
  readonly kind: 'action' | 'wait' | 'end' | 'header';
}

const sentenceEnd = ';';

/** Links and mail addresses are one token, whatever marks they have. */
function rawTokens(text: string): readonly string[] {
  return text.split(/\s+/).flatMap((part) => (/@|:\/\//.test(part) ? ['@'] : (part.match(token) ?? [])));
}

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = [];
  for (const raw of rawTokens(text.toLowerCase())) {
    if (/^[;!?]$/.test(raw)) tokens.push(sentenceEnd);
    else {
      const word = raw.replace(/^['`[]+/, '').replace(/[.:'`\]]+$/, '');
      const [, header, value] = /^(retry[-_]after)[=:](.+)$/.exec(word) ?? [];
      const before = tokens.at(-1);
      if (header !== undefined && value !== undefined) tokens.push(header, value);
      else if (word === 'least' && before === 'at') tokens[tokens.length - 1] = 'at-least';
      else if (before === 'next' && /^(?:attempt|try|retry|message|login|connection)$/.test(word)) {
        tokens[tokens.length - 1] = 'next-attempt';
      } else if (word !== '' && word !== '-') tokens.push(word);
      // A full stop ends a sentence; one within a token is of a host, an address or a number.
      if (raw.endsWith('.') && !/^(?:approx|ca|mins?|secs?|hrs?)\.$/.test(raw)) tokens.push(sentenceEnd);
    }
  }
  return tokens;
}

function cueOf(word: string, before: string, isOther: boolean): Cue['kind'] | null {
  // "One try in 5 minutes" is a limit.
  if (numbers.has(before) || /^\d/.test(before)) return null;
  if (/^retry[-_]after$/.test(word)) return 'header';
  if (actions.has(word)) return 'action';
  if (waits.has(word) || /^gr[ae]y-?(?:list\w*)?$/.test(word)) return 'wait';
  if (!ends.has(word) || isOther) return null;
  return 'end';
}

/** Whether the words between the cue and the time make it a delay. */
function isAnnounced(tokens: readonly string[], cue: Cue, at: number): boolean {
  if (at - cue.at > maxGap) return false;
  let last = at - 1;
  while (last > cue.at && softWords.has(tokens[last] ?? '')) last -= 1;
  const before = tokens[last] ?? '';
  switch (cue.kind) {
    case 'action':
      return last === cue.at || prepositions.has(before);
    case 'wait':
      return last === cue.at || prepositions.has(before) || durations.has(before);
    case 'end':
      return last > cue.at && prepositions.has(before);
    case 'header':
      return last === cue.at;
    default:
      return unreachable(cue.kind);
  }
}

/** "In 5 minutes, please try again": the sentence begins with the delay. */
function precedesAction(tokens: readonly string[], at: number, next: number): boolean {
  const before = tokens[at - 2] ?? sentenceEnd;
  if (!prepositions.has(tokens[at - 1] ?? '') || (before !== sentenceEnd && before !== 'please')) return false;
  for (const word of tokens.slice(next, next + maxGap)) {
    if (actions.has(word)) return true;
    if (!fillers.has(word)) return false;
  }
  return false;
}

interface Duration {
  readonly ms: number;
  /** The token behind it. */
  readonly next: number;
}

/** "90 seconds", "1h30m", "1 hour and 5 minutes", "half an hour", "5-10 minutes" (the longer one), "00:04:59". */
function durationAt(tokens: readonly string[], start: number): Duration | null {
  const first = partAt(tokens, start);
  if (first === null) return null;
  let { ms, next } = first;
  // From the larger to the smaller unit, so three more parts at most.
  for (let more = 0; more < 3; more += 1) {
    const at = tokens[next] === 'and' ? next + 1 : next;
    const part = /^\d/.test(tokens[at] ?? '') ? partAt(tokens, at) : null;
    if (part === null || part.ms >= ms) break;
    ms += part.ms;
    next = part.next;
  }
  return { ms, next };
}

function partAt(tokens: readonly string[], at: number): Duration | null {
  const word = tokens[at] ?? '';
  const clock = /^(\d{1,2}):([0-5]\d):([0-5]\d)$/.exec(word);
  if (clock !== null) {
    // Behind "at" it would be a time of the day.
    if (!/^(?:in|after|for|wait|another)$/.test(tokens[at - 1] ?? '')) return null;
    const seconds = Number(clock[1]) * 3_600 + Number(clock[2]) * 60 + Number(clock[3]);
    return { ms: seconds * 1_000, next: at + 1 };
  }
  if (/^\d{1,6}$/.test(word) && /^retry[-_]after$/.test(tokens[at - 1] ?? '') && !units.has(tokens[at + 1] ?? '')) {
    return { ms: Number(word) * 1_000, next: at + 1 };
  }
  if (word === 'half') {
    const unitAt = /^an?$/.test(tokens[at + 1] ?? '') ? at + 2 : at + 1;
    const ms = units.get(tokens[unitAt] ?? '');
    return ms === undefined ? null : { ms: ms / 2, next: unitAt + 1 };
  }
  const joined = /^(\d[\d.,]*)([\p{L}]+)((?:\d{1,6}[\p{L}]{1,7})*)$/u.exec(word);
  if (joined !== null) return joinedPart(joined, at);
  const count = countAt(tokens, at);
  if (count === null) return null;
  const ms = units.get(tokens[count.next] ?? '');
  return ms === undefined ? null : { ms: count.value * ms, next: count.next + 1 };
}

/** "300sec", "1h30m". */
function joinedPart([, number = '', unit = '', rest = '']: RegExpExecArray, at: number): Duration | null {
  const value = numberOf(number);
  const unitMs = units.get(unit);
  if (value === null || unitMs === undefined) return null;
  let ms = value * unitMs;
  for (const [, count, name = ''] of rest.matchAll(/(\d{1,6})(\p{L}{1,7})/gu)) {
    const more = units.get(name);
    if (more === undefined) return null;
    ms += Number(count) * more;
  }
  return { ms, next: at + 1 };
}

/** "5", "five", "5-10", "5 to 10": of two numbers the larger one. */
function countAt(tokens: readonly string[], at: number): { readonly value: number; readonly next: number } | null {
  const word = tokens[at] ?? '';
  const range = /^(\d{1,6})[-–](\d{1,6})$/.exec(word);
  if (range !== null) return { value: Math.max(Number(range[1]), Number(range[2])), next: at + 1 };
  const value = numbers.get(word) ?? numberOf(word);
  if (value === null) return null;
  if (tokens[at + 1] !== 'to' && tokens[at + 1] !== 'or') return { value, next: at + 1 };
  const other = numberOf(tokens[at + 2] ?? '');
  return other === null ? { value, next: at + 1 } : { value: Math.max(value, other), next: at + 3 };
}

/** "300", "4.0", "1,800" (thousands). Null for addresses, versions, and numbers of more than six digits. */
function numberOf(text: string): number | null {
  if (/^\d{1,3},\d{3}$/.test(text)) return Number(text.replace(',', ''));
  return /^\d{1,6}(?:\.\d{1,3})?$/.test(text) ? Number(text) : null;
}
