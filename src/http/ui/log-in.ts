/** Log-in: a token for a session. */
import type { Tools } from '../api/route.ts';
import { checkToken } from '../../config/token-check.ts';
import type { Client } from '../client.ts';
import type { Trace } from '../trace.ts';
import type { Assets } from './assets.ts';
import { setCookie, themeOf, type Cookies } from './cookies.ts';
import { barePage } from './layout.ts';
import { loginForm } from './pages/login.ts';
import * as respond from './responses.ts';
import { sessionMs, type Sessions } from './session.ts';
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
  { url, cookies }: Call,
  status: number,
  mistake: string | null,
): Promise<Response> {
  const next = nextOf(url.searchParams.get('next'));
  const ended = url.searchParams.has('ended') && mistake === null;
  const main = loginForm({ host: tools.config().hostname, next, ended, mistake });
  const frame = { theme: themeOf(cookies), title: 'Sign in', icons: assets.icons };
  return respond.page(await barePage(frame, main), status);
}

/** A token of 32 characters at least cannot be guessed, so failures are told at once and counted in the metrics of requests alone. */
export async function signIn(site: Site, call: Call, form: URLSearchParams): Promise<Response> {
  const { config, now } = site.tools;
  const { bindings, url, sessions } = call;
  const checked = checkToken(config().api.tokens, (form.get('token') ?? '').trim(), now());
  if (checked.kind !== 'token') {
    bindings.trace.code = 'unauthenticated';
    const mistake =
      checked.kind === 'expired'
        ? `The token ${checked.token.id} has expired.`
        : 'This token is not valid. It may have been removed, or cut off when it was copied.';
    return login(site, call, 401, mistake);
  }
  const { token } = checked;
  bindings.trace.tokenId = token.id;
  const next = nextOf(url.searchParams.get('next')) ?? firstPlace(token);
  return respond.redirect(next, [setCookie('session', sessions.begin(token, now()), sessionMs, bindings.from.secure)]);
}

/** Where to go afterwards: a path of the dashboard, and never another site. */
export function nextOf(written: string | null): string | null {
  if (written === null || written.length > 2_000 || !/^\/ui\/[\w!#$%&'()*+,./:;=?@~-]*$/.test(written)) return null;
  return written.startsWith('/ui/login') ? null : written;
}
