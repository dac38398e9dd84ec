/** Durations, sizes and percentages as people write them: `30s`, `24h`, `25MiB`, `20%`. */

const msPerUnit: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** KB and MB are decimal, KiB and MiB binary (IEC 80000-13). */
const bytesPerUnit: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['KB', 1000],
  ['KiB', 1024],
  ['MB', 1_000_000],
  ['MiB', 1024 * 1024],
]);

/** Milliseconds, or null if the text is no positive duration. One number and one unit: `90m`, not `1h30m`. */
export function parseDurationMs(text: string): number | null {
  return parseQuantity(text, msPerUnit);
}

/** Bytes, or null if the text is no positive size. */
export function parseSizeBytes(text: string): number | null {
  return parseQuantity(text, bytesPerUnit);
}

/** `150MB/5m`, or null. */
export function parseBytesPerWindow(text: string): { bytes: number; windowMs: number } | null {
  const [size = '', window = '', ...more] = text.split('/');
  const bytes = parseSizeBytes(size);
  const windowMs = parseDurationMs(window);
  return bytes === null || windowMs === null || more.length > 0 ? null : { bytes, windowMs };
}

/** `20%`, or null. */
export function parsePercent(text: string): number | null {
  const match = /^(0|[1-9]\d?|100)%$/.exec(text);
  return match === null ? null : Number(match[1]);
}

function parseQuantity(text: string, units: ReadonlyMap<string, number>): number | null {
  const match = /^([1-9]\d{0,11})([A-Za-z]{1,3})$/.exec(text);
  const factor = units.get(match?.[2] ?? '');
  return match === null || factor === undefined ? null : Number(match[1]) * factor;
}
