/** Reads the delay that a server names in the text of a reply, and bounds the delays that servers ask for. Pure. */

/** A shorter delay would ask the server again at once; a longer one is not believed. */
const minDelayMs = 1_000;
const maxDelayMs = 24 * 60 * 60 * 1_000;

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** "try again in 300 seconds", "retry after 10s", "please wait 5 minutes". */
const spoken =
  /\b(?:try|retry|again|back|wait|delayed|expires?)\b[^0-9]{0,40}?\b(\d{1,6})\s?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b/i;
/** "come back in 00:04:55", the form of milter-greylist. */
const clock = /\b(?:in|after)\s+(\d{1,2}):(\d{2}):(\d{2})\b/i;

/** The delay in ms, between one second and one day; null if the text names none. */
export function askedDelayMs(text: string): number | null {
  const time = clock.exec(text);
  if (time !== null) {
    return boundedDelayMs((Number(time[1]) * 3_600 + Number(time[2]) * 60 + Number(time[3])) * 1_000);
  }
  const words = spoken.exec(text);
  if (words === null) return null;
  return boundedDelayMs(Number(words[1]) * (unitMs[(words[2] ?? 's').charAt(0).toLowerCase()] ?? 1_000));
}

/** A delay that a server asks for, held between one second and one day. */
export function boundedDelayMs(ms: number): number {
  return Math.min(Math.max(ms, minDelayMs), maxDelayMs);
}
