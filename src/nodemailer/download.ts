/** Opens the http(s) URL of an attachment, as nodemailer does: a few redirects, and nothing that belongs to one server goes to another. */
import http from 'node:http';
import https from 'node:https';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';

/** As nodemailer. */
const maxRedirects = 5;

export interface DownloadOptions {
  readonly headers: http.OutgoingHttpHeaders;
  readonly tls: https.RequestOptions;
  readonly signal: AbortSignal;
}

/** → the body, of a 2xx answer. Rejects otherwise. */
export async function download(url: string, options: DownloadOptions): Promise<IncomingMessage> {
  let at = webUrl(url);
  let { headers, tls } = options;
  for (let redirects = 0; ; redirects += 1) {
    const answer = await get(at, headers, tls, options.signal);
    const { statusCode = 0 } = answer;
    if (statusCode >= 200 && statusCode < 300) return answer;
    answer.destroy();
    const { location } = answer.headers;
    if (statusCode < 300 || statusCode > 399 || location === undefined) {
      throw new Error(`the server answered with status ${statusCode}`);
    }
    if (redirects === maxRedirects) throw new Error(`more than ${maxRedirects} redirects`);
    const next = webUrl(location, at);
    if (at.protocol === 'https:' && next.protocol === 'http:') {
      throw new Error('the server redirects to an unencrypted URL');
    }
    // Credentials in headers, and a client's certificate, are for the server of the application's URL alone.
    if (next.origin !== at.origin) [headers, tls] = [{}, {}];
    at = next;
  }
}

function webUrl(text: string, base?: URL): URL {
  const url = URL.canParse(text, base?.href) ? new URL(text, base?.href) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error('is no http or https URL');
  return url;
}

async function get(
  url: URL,
  headers: http.OutgoingHttpHeaders,
  tls: https.RequestOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const request =
    url.protocol === 'https:' ? https.get(url, { ...tls, headers, signal }) : http.get(url, { headers, signal });
  const [answer] = (await once(request, 'response', { signal })) as [IncomingMessage];
  return answer;
}
