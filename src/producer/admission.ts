/**
 * Refuses new messages while Redis still has room for those that wait. What Redis has is asked at most once a second, and again
 * once a part of the room has been used since, so that it costs a message next to nothing.
 */
import { PostlaneError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import type { Room, RoomAnswer } from '../queue/room.ts';

/** How long an answer is good for, in ms. */
const lookEveryMs = 1_000;
/** A user that may not ask is refused each time, which Redis notes in its ACL LOG. */
const hiddenForMs = 60_000;
/** The part of the room that may be used on one look: other producers use it as well. */
const partPerLook = 1 / 8;
/** Of a job and a row, beside the text. */
const overheadBytes = 3_072;

/** Throws or rejects with `redis-full` where there is no room for the message. → null where Redis need not be asked. */
export type Admission = (id: string, message: Message) => Promise<void> | null;

/** `look` asks Redis; `now` is monotonic, in ms. */
export function createAdmission(look: () => Promise<RoomAnswer>, now: () => number, reservePercent: number): Admission {
  let seen: { readonly answer: RoomAnswer; readonly at: number } | null = null;
  let spentBytes = 0;
  let looking: Promise<unknown> | null = null;

  const isFresh = (): boolean => {
    if (seen === null) return false;
    const { answer, at } = seen;
    if (now() - at >= (answer === 'hidden' ? hiddenForMs : lookEveryMs)) return false;
    return typeof answer === 'string' || answer.freeBytes <= 0 || spentBytes <= answer.freeBytes * partPerLook;
  };

  const lookAgain = (): Promise<unknown> => {
    looking ??= look()
      .then((answer) => {
        spentBytes = 0;
        return (seen = { answer, at: now() });
      })
      .finally(() => {
        looking = null;
      });
    return looking;
  };

  const book = (id: string, message: Message): void => {
    const answer = seen?.answer ?? 'unlimited';
    if (typeof answer === 'string') return;
    const bytes = bytesOf(message);
    if (bytes > answer.freeBytes - spentBytes) throw fullError(id, answer, reservePercent);
    spentBytes += bytes;
  };

  return (id, message) => {
    if (!isFresh()) return lookAgain().then(() => book(id, message));
    book(id, message);
    return null;
  };
}

/** About what the message takes in Redis. */
function bytesOf({ text, html, raw, alternatives = [], calendarEvent, attachments }: Message): number {
  const forms = calendarEvent === undefined ? alternatives : [calendarEvent, ...alternatives];
  const contents = [...forms, ...attachments, ...(raw === undefined ? [] : [raw])];
  const ofContents = contents.reduce((sum, each) => sum + ('ref' in each ? 0 : each.content.length), 0);
  return overheadBytes + (text?.length ?? 0) + (html?.length ?? 0) + ofContents;
}

function fullError(id: string, { usedBytes, maxBytes, reservedBytes }: Room, reservePercent: number): PostlaneError {
  const message =
    `${mebibytes(usedBytes)} of ${mebibytes(maxBytes)} MiB are used, and ${mebibytes(reservedBytes)} MiB are kept for the messages that wait ` +
    `(redis.reserve: ${reservePercent}%)`;
  const next = 'Call again later with the same id; if it lasts, start more workers, or give Redis more memory';
  return new PostlaneError('redis-full', `Redis has no room for new messages: ${message}. ${next}`, {
    id,
    issues: [{ field: 'redis.reserve', rule: 'redis-memory', message }],
  });
}

function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}
