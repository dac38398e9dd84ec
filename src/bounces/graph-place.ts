/** How far a mailbox was read through Graph, as a text: a time, and the mails of the last minutes that were read, as another mail of these minutes may be shown later. Pure. */

export interface GraphPlace {
  /** ms since the epoch: mails that came earlier were read, or will not be. */
  readonly from: number;
  /** The latest that was read. */
  readonly at: number;
  /** Mails that were read, by when they came. */
  readonly handled: ReadonlyMap<string, number>;
}

/** How late Exchange may show a mail, with its own time of arrival. */
const overlapMs = 120_000;
/** Reports of these minutes that are remembered. With more, mails that are shown late may be missed. */
const mostHandled = 1_000;

export function isHandled({ handled }: GraphPlace, key: string): boolean {
  return handled.has(key);
}

/** `read`: a report that was read, and when it came. `at`: reading has come so far. */
export function goneOn(
  place: GraphPlace,
  read: { readonly key: string; readonly receivedAt: number } | null,
  at: number,
): GraphPlace {
  const latest = Math.max(place.at, at);
  let from = Math.max(place.from, latest - overlapMs);
  const all = read === null ? [...place.handled] : [...place.handled, [read.key, read.receivedAt] as const];
  const kept = all.filter(([, time]) => time >= from);
  for (const [, time] of kept.splice(0, kept.length - mostHandled)) from = Math.max(from, nextSecond(time));
  return { from, at: Math.max(latest, from), handled: new Map(kept.filter(([, time]) => time >= from)) };
}

/** Times of Graph are whole seconds. */
function nextSecond(time: number): number {
  return Math.floor(time / 1_000) * 1_000 + 1_000;
}

const inSeconds = (ms: number): string => Math.floor(ms / 1_000).toString(36);

export function placeText({ from, at, handled }: GraphPlace): string {
  const mails = [...handled].map(([key, time]) => `${key}${inSeconds(time)}`);
  return [inSeconds(from), inSeconds(at), ...mails].join(' ');
}

/** What is no place, such as that of another protocol, begins at `since` (ms since the epoch). */
export function parsePlace(text: string | null, since: number): GraphPlace {
  const [from = '', at = '', ...mails] = (text ?? '').split(' ');
  const time = /^[0-9a-z]{1,8}$/;
  if (!time.test(from) || !time.test(at)) return { from: since, at: since, handled: new Map() };
  const ms = (word: string): number => Number.parseInt(word, 36) * 1_000;
  const handled = mails
    .slice(0, mostHandled)
    .flatMap((word): [string, number][] =>
      /^[\w-]{8}[0-9a-z]{1,8}$/.test(word) ? [[word.slice(0, 8), ms(word.slice(8))]] : [],
    );
  return { from: ms(from), at: ms(at), handled: new Map(handled) };
}
