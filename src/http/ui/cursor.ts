/** Places in lists, as they stand in the address of a page: checked like everything that comes from outside. */

export function writePlace(place: object): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** null for what is none: the list begins at its start. */
export function readPlace(
  text: string | null,
  numbers: readonly string[],
  texts: readonly string[],
): Readonly<Record<string, number | string>> | null {
  if (text === null || text.length > 500) return null;
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))) as Record<string, unknown>;
  } catch {
    return null;
  }
  const isPlace =
    numbers.every((name) => Number.isFinite(value[name])) && texts.every((name) => typeof value[name] === 'string');
  if (!isPlace) return null;
  const entries = [...numbers, ...texts].map((name) => [name, value[name] as number | string] as const);
  return Object.fromEntries(entries);
}
