/** Numbers, durations and times as the pages write them. Pure: `now` and the zone are arguments. */

const nbsp = '\u00a0';

/** 1,240 */
export function number(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** "1 message", "1,240 messages". */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** 41%; 99.1% where the last tenth tells something. `share`: 0 to 1. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value > 90 && value < 100 ? (Math.floor(value * 10) / 10).toFixed(1) : Math.round(value)}%`;
}

/** 48 KB, 1.64 GiB: bytes of mail by thousands, memory by 1,024. */
export function size(bytes: number): string {
  return scaled(bytes, 1000, ['bytes', 'KB', 'MB', 'GB']);
}

export function memory(bytes: number): string {
  return scaled(bytes, 1024, ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']);
}

function scaled(bytes: number, step: number, units: readonly string[]): string {
  let [value, at] = [bytes, 0];
  while (value >= step && at < units.length - 1) [value, at] = [value / step, at + 1];
  const digits = at === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits).replace(/\.0+$/, '')}${nbsp}${units[at]}`;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** A duration in at most two units: 52 s, 48 min, 5 h 11 min, 2 d 18 h. From 60 to 99 minutes it stays with minutes. */
export function span(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < minute) return `${Math.floor(ms / second)}${nbsp}s`;
  if (ms < 100 * minute) return `${Math.floor(ms / minute)}${nbsp}min`;
  if (ms < day) return two(Math.floor(ms / hour), 'h', Math.floor((ms % hour) / minute), 'min');
  return two(Math.floor(ms / day), 'd', Math.floor((ms % day) / hour), 'h');
}

function two(large: number, largeUnit: string, small: number, smallUnit: string): string {
  const rest = small === 0 ? '' : `${nbsp}${small}${nbsp}${smallUnit}`;
  return `${large}${nbsp}${largeUnit}${rest}`;
}

/** How long an attempt took: 84 ms, 1.01 s, 31.4 s. */
export function took(durationMs: number): string {
  if (durationMs < second) return `${Math.round(durationMs)}${nbsp}ms`;
  const seconds = durationMs / second;
  return `${seconds >= 100 ? Math.round(seconds) : seconds.toPrecision(3)}${nbsp}s`;
}

/** The viewer's clock: minutes ahead of UTC. */
export interface Zone {
  readonly offsetMinutes: number;
}

export const utc: Zone = { offsetMinutes: 0 };

/** UTC, UTC+01:00. */
export function zoneName({ offsetMinutes }: Zone): string {
  if (offsetMinutes === 0) return 'UTC';
  const minutes = Math.abs(offsetMinutes);
  return `UTC${offsetMinutes < 0 ? '−' : '+'}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

/** Fields of a time on the viewer's clock. */
function fields(at: number, { offsetMinutes }: Zone) {
  const date = new Date(at + offsetMinutes * minute);
  return {
    date: `${date.getUTCDate()} ${months[date.getUTCMonth()]}`,
    year: date.getUTCFullYear(),
    hours: pad(date.getUTCHours()),
    minutes: pad(date.getUTCMinutes()),
    seconds: pad(date.getUTCSeconds()),
    ms: String(date.getUTCMilliseconds()).padStart(3, '0'),
    dayNumber: Math.floor((at + offsetMinutes * minute) / day),
  };
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function pad(value: number): string {
  return String(value).padStart(2, '0');
}

/** 10:43:10, or with its day if that is not today: "26 Nov, 18:00", "tomorrow 08:11". */
export function clock(
  at: number,
  now: number,
  zone: Zone,
  precision: 'minutes' | 'seconds' | 'ms' = 'minutes',
): string {
  const [when, today] = [fields(at, zone), fields(now, zone)];
  const time = `${when.hours}:${when.minutes}`;
  if (when.dayNumber === today.dayNumber) {
    if (precision === 'minutes') return time;
    return precision === 'seconds' ? `${time}:${when.seconds}` : `${time}:${when.seconds}.${when.ms}`;
  }
  if (when.dayNumber === today.dayNumber + 1) return `tomorrow ${time}`;
  const year = when.year === today.year ? '' : ` ${when.year}`;
  return `${when.date}${year}, ${time}`;
}

/** The same within a sentence: "at 10:43", "tomorrow 08:11", "on 30 Nov, 18:00". */
export function atClock(at: number, now: number, zone: Zone): string {
  const text = clock(at, now, zone);
  return text.startsWith('tomorrow') ? text : `${/^\d\d:/.test(text) ? 'at' : 'on'} ${text}`;
}

/** The absolute time that stands behind each time: 27 Nov 2026, 09:54:10 UTC+01:00. */
export function absolute(at: number, zone: Zone): string {
  const { date, year, hours, minutes, seconds } = fields(at, zone);
  return `${date} ${year}, ${hours}:${minutes}:${seconds} ${zoneName(zone)}`;
}

/** "48 min ago", "in 5 h 11 min". */
export function relative(at: number, now: number): string {
  return at <= now ? `${span(now - at)} ago` : `in ${span(at - now)}`;
}

/** Of a recipient where addresses are masked: j…n@example.net. */
export function masked(address: string): string {
  const at = address.lastIndexOf('@');
  const local = Array.from(at < 0 ? address : address.slice(0, at));
  const domain = at < 0 ? '' : address.slice(at);
  const [first = '', last = ''] = [local[0], local.at(-1)];
  return local.length < 3 ? `…${domain}` : `${first}…${last}${domain}`;
}

const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text from outside with what cannot be seen, or turns the direction of text, made visible: U+202E. */
export function visible(text: string): string {
  return text.replace(hidden, (each) => ` U+${each.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')} `);
}

const maxReplyLength = 2_048;

/** A reply as received, bounded. */
export function replyText(text: string): string {
  const shown = visible(text.slice(0, maxReplyLength));
  return text.length > maxReplyLength ? `${shown} … (cut after 2,048 characters)` : shown;
}
