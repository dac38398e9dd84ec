/** A browser without a browser: signs in at the dashboard of a served API, keeps cookies, follows forms. */
import { ask, type Answered, type ServedApi } from './http-server.ts';

export interface Visitor {
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Answered>;
  /** With the form token of the session, as a browser sends it from a page of ours. */
  post(
    path: string,
    fields?: Readonly<Record<string, string>>,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answered>;
  /** The same, and the page that it leads to. */
  submit(path: string, fields?: Readonly<Record<string, string>>): Promise<Answered>;
  readonly cookies: Map<string, string>;
  csrf(): Promise<string>;
}

export const sameOrigin = { origin: 'http://localhost', 'sec-fetch-site': 'same-origin' } as const;

/** `as`: id of a token. */
export async function signIn(api: ServedApi, as = 'all'): Promise<Visitor> {
  const visitor = visitorOf(api);
  const answer = await visitor.post('/ui/login', { token: api.tokens.get(as)!, csrf: '' });
  if (answer.status !== 303) throw new Error(`no session: ${answer.status} ${answer.text}`);
  return visitor;
}

export function visitorOf(api: ServedApi): Visitor {
  const cookies = new Map<string, string>();
  const call = async (method: string, path: string, headers: Readonly<Record<string, string>>, body?: string) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await ask(api.port, path, {
      method,
      headers: { accept: 'text/html', ...(cookie === '' ? {} : { cookie }), ...headers },
      ...(body === undefined ? {} : { body }),
    });
    for (const set of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (/Max-Age=0/.test(set)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  const get: Visitor['get'] = (path, headers = {}) => call('GET', path, headers);
  const csrf = async (): Promise<string> => {
    const { text } = await get('/ui/no-such-page');
    return /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
  };
  const post: Visitor['post'] = async (path, fields = {}, headers = sameOrigin) => {
    const token = 'csrf' in fields ? {} : { csrf: await csrf() };
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    return call('POST', path, { ...type, ...headers }, new URLSearchParams({ ...token, ...fields }).toString());
  };
  return {
    get,
    post,
    async submit(path, fields) {
      const answer = await post(path, fields);
      return answer.status === 303 ? get(String(answer.headers['location'])) : answer;
    },
    cookies,
    csrf,
  };
}

/** What somebody reads: without markup, spaces in one. */
export function wordsOf({ text }: Pick<Answered, 'text'>): string {
  return text
    .replace(/<(script|style|svg)\b.*?<\/\1>/gs, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&nbsp;', ' ')
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ');
}
