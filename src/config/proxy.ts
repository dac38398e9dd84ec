/** The key `proxy` of a connector, and the way of its connections that follows from it. */
import { parseProxyUrl, type ProxyRoute, type ProxySettings } from '../transport/proxy.ts';
import { textAs, type Reading } from './values.ts';

/** In characters. A login has up to 255 bytes for its user and for its password, percent-encoded. */
export const maxProxyUrlChars = 2_000;
const must =
  'must be http://HOST:PORT, https://HOST:PORT, socks5://HOST:PORT or none; a login stands before the host as USER:PASSWORD@, percent-encoded if it is no reference';

/** null is `none`. */
export const proxy = textAs('proxy', (text): Reading<ProxySettings | null> => {
  if (text === 'none') return { value: null };
  const read = text.length > maxProxyUrlChars ? null : parseProxyUrl(text);
  return read === null ? { must } : { value: read };
})
  .optional()
  .describe(
    'Proxy for everything that the connector connects to: `http://` or `https://` (CONNECT), `socks5://`, or `none`. Default: as the environment says (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).',
  );

/** `written`: undefined where the file has no such key. */
export function buildRoute(
  written: ProxySettings | null | undefined,
  environment: ProxyRoute | null,
): ProxyRoute | null {
  if (written === undefined) return environment;
  return written === null ? null : { proxy: written, variable: null, except: [] };
}
