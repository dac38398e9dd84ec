/** Paths with parts that stand for ids. */

/** `/ui/messages/*`: `*` is one part, decoded. null if the path is not of this pattern. */
export function paramsOf(pattern: string, path: string): readonly string[] | null {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  const params: string[] = [];
  for (const [i, part] of wanted.entries()) {
    if (part !== '*') {
      if (part !== given[i]) return null;
      continue;
    }
    const decoded = decode(given[i]!);
    if (decoded === null || decoded === '') return null;
    params.push(decoded);
  }
  return params;
}

function decode(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
