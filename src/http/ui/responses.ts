/** What every answer of the dashboard has: its headers, and how pages, redirects and assets are sent. */
import type { Asset } from './assets.ts';

/** Nothing is loaded but from here, nothing runs that is no file of ours, and no page of another site may frame it or be sent a form. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const securityHeaders = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

export function page(text: string, status: number, cookies: readonly string[] = []): Response {
  const headers = { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store', ...securityHeaders };
  return withCookies(new Response(text, { status, headers }), cookies);
}

/** 303: what follows is a GET, whatever was sent. */
export function redirect(to: string, cookies: readonly string[] = []): Response {
  const headers = { Location: to, 'Cache-Control': 'no-store', ...securityHeaders };
  return withCookies(new Response(null, { status: 303, headers }), cookies);
}

/** Without a page: for what no form of ours sends. `Connection: close`, as its body may not have been read. */
export function plain(text: string, status: number): Response {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', Connection: 'close' };
  return new Response(`${text}\n`, { status, headers: { ...headers, ...securityHeaders } });
}

/** Browsers ask again each time, and get it once for each release. */
export function file({ body, type, etag }: Asset, ifNoneMatch: string | undefined): Response {
  const headers = { ...securityHeaders, 'Cache-Control': 'no-cache', ETag: etag };
  if (ifNoneMatch === etag) return new Response(null, { status: 304, headers });
  return new Response(body, { headers: { ...headers, 'Content-Type': type } });
}

function withCookies(response: Response, cookies: readonly string[]): Response {
  for (const cookie of cookies) response.headers.append('Set-Cookie', cookie);
  return response;
}
