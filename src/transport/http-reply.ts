/** Reads what HTTP replies have in common: a JSON object as the body, and Retry-After. Pure. */
import { boundedDelayMs } from './retry-hint.ts';

/** Seconds, or a date (RFC 9110 section 10.2.3); null for neither. `now`: ms since the epoch. */
export function readRetryAfter(value: string | null, now: number): number | null {
  const text = value?.trim() ?? '';
  if (text === '') return null;
  const ms = /^\d{1,9}(?:\.\d+)?$/.test(text)
    ? Math.ceil(Number(text) * 1_000)
    : /[a-z]/i.test(text)
      ? Date.parse(text) - now
      : NaN;
  return Number.isNaN(ms) ? null : boundedDelayMs(ms);
}

/** The body as a JSON object; null for anything else. */
export function objectOf(text: string): Record<string, unknown> | null {
  return mapOf(parse(text));
}

/** The value if it is an object; null for an array, a scalar or nothing. */
export function mapOf(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
