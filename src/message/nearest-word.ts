/** The word of a list that another one is most likely a slip of. */

/** The length of the text that is worth comparing: longer names are not slips of one letter. */
const longestToCompare = 40;

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** The known word that `word` is most likely a slip of, or null. */
export function nearestWord(word: string, known: readonly string[]): string | null {
  if (word.length > longestToCompare) return null;
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, '');
  let best: string | null = null;
  let bestDistance = word.length < 4 ? 2 : 3;
  for (const candidate of known) {
    const distance = editDistance(plain(word), plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
