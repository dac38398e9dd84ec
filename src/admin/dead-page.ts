/** A page of dead letters, newest first, by a filter: what is short of each decides, and those of the page are read. */
import type { DeadLetters, DeadLetterSummary } from '../queue/ledger/dead-letters.ts';
import type { LetterDigest, LetterPlace } from '../queue/ledger/letter-pages.ts';
import { boundsOf, fits, type LetterFilter } from './dead-filter.ts';

interface DeadPage {
  readonly items: readonly DeadLetterSummary[];
  /** Where to go on; null at the end. */
  readonly next: LetterPlace | null;
}

/** Letters that one question looks at: a filter may fit none of them, and the page then ends before it is full. */
const mostLooked = 10_000;

export async function pageOfDead(
  letters: Pick<DeadLetters, 'page' | 'summary'>,
  filter: LetterFilter,
  after: LetterPlace | null,
  limit: number,
  isVisible: (digest: Pick<LetterDigest, 'from'>) => boolean,
): Promise<DeadPage> {
  const chosen: LetterDigest[] = [];
  let place = after;
  for (let looked = 0; looked < mostLooked;) {
    const page = await letters.page({ ...boundsOf(filter), order: 'newest', after: place });
    for (const digest of page.digests) {
      if (!fits(digest, filter) || !isVisible(digest)) continue;
      if (chosen.length === limit) return { items: await read(letters, chosen), next: placeOf(chosen.at(-1)!) };
      chosen.push(digest);
    }
    place = page.next;
    if (place === null) return { items: await read(letters, chosen), next: null };
    // With a filter by recipient, a page of Redis may give none and has looked at as many all the same.
    looked += Math.max(page.digests.length, 500);
  }
  return { items: await read(letters, chosen), next: place };
}

function placeOf({ at, id }: LetterDigest): LetterPlace {
  return { at, id };
}

/** Those that are gone meanwhile are left out. */
async function read(
  letters: Pick<DeadLetters, 'summary'>,
  chosen: readonly LetterDigest[],
): Promise<DeadLetterSummary[]> {
  const found = await Promise.all(chosen.map(({ id }) => letters.summary(id)));
  return found.flatMap((letter) => letter ?? []);
}
