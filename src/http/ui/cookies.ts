/** Cookies of the dashboard, as they are read and written. None of them is for a script but the colours and the offset of the clock. */
import type { Theme } from './layout.ts';
import { utc, type Zone } from './format.ts';

const maxHeaderChars = 8_192;

export type Cookies = ReadonlyMap<string, string>;

export function readCookies(header: string | undefined): Cookies {
  const found = new Map<string, string>();
  for (const part of (header ?? '').slice(0, maxHeaderChars).split(';')) {
    const at = part.indexOf('=');
    const name = part.slice(0, at).trim();
    if (at > 0 && !found.has(name)) found.set(name, part.slice(at + 1).trim());
  }
  return found;
}

/** With TLS, the prefix keeps other hosts of the domain from setting it (RFC 6265bis section 4.1.3.2). */
export function cookieName(name: 'session' | 'notice', secure: boolean): string {
  return `${secure ? '__Host-' : ''}postlane-${name}`;
}

export function setCookie(name: 'session' | 'notice', value: string, maxAgeMs: number, secure: boolean): string {
  const end = `Max-Age=${Math.round(maxAgeMs / 1_000)}`;
  return `${cookieName(name, secure)}=${value}; Path=/; HttpOnly; SameSite=Strict; ${end}${secure ? '; Secure' : ''}`;
}

export const themeCookie = 'postlane-theme';

export function themeOf(cookies: Cookies): Theme {
  const value = cookies.get(themeCookie);
  return value === 'light' || value === 'dark' ? value : 'auto';
}

/** The browser's clock, which the script tells; UTC until then. */
export function zoneOf(cookies: Cookies): Zone {
  const minutes = Number(cookies.get('postlane-offset') ?? 'none');
  return Number.isInteger(minutes) && Math.abs(minutes) <= 14 * 60 ? { offsetMinutes: minutes } : utc;
}
