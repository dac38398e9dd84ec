/** Log-in: a token, or a link that was made with one, for a session. */
import type { Tools } from '../api/route.ts';
import type { ApiToken } from '../../config/api.ts';
import { checkToken } from '../../config/token-check.ts';
import type { Client } from '../client.ts';
import type { Trace } from '../trace.ts';
import type { Assets } from './assets.ts';
import { setCookie, themeOf, type Cookies } from './cookies.ts';
import { barePage } from './layout.ts';
import { loginForm } from './pages/login.ts';
import * as respond from './responses.ts';
import { linkMs, sessionMs, type Sessions } from './session.ts';
import { firstPlace } from './visit.ts';

interface Site {
  readonly tools: Tools;
  readonly assets: Assets;
}

interface Call {
  readonly bindings: { readonly from: Client; readonly trace: Trace };
  readonly url: URL;
  readonly cookies: Cookies;
  readonly sessions: Sessions;
}

/** `mistake`: what is wrong with the token that was sent. */
export async function login(
  { tools, assets }: Site,
  { url, cookies, sessions }: Call,
  status: number,
  mistake: string | null,
): Promise<Response> {
  const next = nextOf(url.searchParams.get('next'));
  const link = url.searchParams.get('link') ?? '';
  const linked = sessions.readLink(link, tools.config().api.tokens, tools.now());
  const ended = url.searchParams.has('ended') && mistake === null;
  const wrong = link !== '' && linked === null && mistake === null ? overLink : mistake;
  const by = linked === null ? null : { link, id: linked.token.id };
  const main = loginForm({ host: tools.config().hostname, next, ended, mistake: wrong, by });
  const frame = { theme: themeOf(cookies), title: 'Sign in', icons: assets.icons };
  return respond.page(await barePage(frame, main), status);
}

const overLink = 'This link is over: it signs in once, and within 15 minutes. Sign in with the token.';

/** A click is asked for, so that no page of another site can sign a user in by a link. */
async function byLink(link: string, { tools }: Site, { sessions }: Call): Promise<ApiToken | null> {
  const found = sessions.readLink(link, tools.config().api.tokens, tools.now());
  if (found === null) return null;
  return (await (await tools.operator()).once(`link ${found.nonce}`, linkMs)) ? found.token : null;
}

/** A token of 32 characters at least cannot be guessed, so failures are told at once and counted in the metrics of requests alone. */
export async function signIn(site: Site, call: Call, form: URLSearchParams): Promise<Response> {
  const { config, now } = site.tools;
  const { bindings, url, sessions } = call;
  const enter = (token: ApiToken): Response => {
    bindings.trace.tokenId = token.id;
    const next = nextOf(url.searchParams.get('next')) ?? firstPlace(token);
    const cookie = setCookie('session', sessions.begin(token, now()), sessionMs, bindings.from.secure);
    return respond.redirect(next, [cookie]);
  };
  const link = form.get('link') ?? '';
  if (link !== '') {
    const token = await byLink(link, site, call);
    if (token !== null) return enter(token);
    bindings.trace.code = 'unauthenticated';
    return login(site, call, 401, overLink);
  }
  const checked = checkToken(config().api.tokens, (form.get('token') ?? '').trim(), now());
  if (checked.kind !== 'token') {
    bindings.trace.code = 'unauthenticated';
    const mistake =
      checked.kind === 'expired'
        ? `The token ${checked.token.id} has expired.`
        : 'This token is not valid. It may have been removed, or cut off when it was copied.';
    return login(site, call, 401, mistake);
  }
  return enter(checked.token);
}

/** Where to go afterwards: a path of the dashboard, and never another site. */
export function nextOf(written: string | null): string | null {
  if (written === null || written.length > 2_000 || !/^\/ui\/[\w!#$%&'()*+,./:;=?@~-]*$/.test(written)) return null;
  return written.startsWith('/ui/login') ? null : written;
}
