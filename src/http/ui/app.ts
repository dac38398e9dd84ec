/** The dashboard as one function from request to response: assets, log-in, pages behind their scope, forms behind session and origin. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { hasScope } from '../api/access.ts';
import type { Tools } from '../api/route.ts';
import { readBody, type BodyBudget } from '../body.ts';
import type { Client } from '../client.ts';
import { maxSmallBodyBytes } from '../limits.ts';
import { kindOf, problemOf, type Problem } from '../problem.ts';
import type { Trace } from '../trace.ts';
import type { Assets } from './assets.ts';
import { cookieName, readCookies, setCookie, themeCookie, themeOf, zoneOf, type Cookies } from './cookies.ts';
import { formFor } from './forms.ts';
import { framed, type Framing } from './framed.ts';
import { barePage } from './layout.ts';
import { login, nextOf, signIn } from './log-in.ts';
import { userOf } from './identity.ts';
import { isSameOrigin } from './origin.ts';
import { pageFor } from './pages.ts';
import { problemPage } from './pages/problem.ts';
import * as respond from './responses.ts';
import { createSessions, isEqual, type Session, type Sessions } from './session.ts';
import { createGlance, createWorst, firstPlace, type Visit } from './visit.ts';

/** What the listener hands over beside the request. */
interface Bindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly trace: Trace;
  readonly from: Client;
}

export interface UiOptions {
  readonly tools: Tools;
  readonly assets: Assets;
  /** Shared with the API. */
  readonly budget: BodyBudget;
  /** What failed within the server. */
  readonly failed: (route: string, thrown: unknown) => void;
}

interface Site extends UiOptions {
  readonly glance: Visit['glance'];
  readonly worst: Visit['worst'];
  /** Rejects while Redis is away and the key of sessions was never read. */
  readonly sessions: () => Promise<Sessions>;
}

/** A request of the dashboard, and who has sent it. */
interface Call {
  readonly bindings: Bindings;
  readonly url: URL;
  readonly cookies: Cookies;
  readonly sessions: Sessions;
}

export function createUi(options: UiOptions): (request: Request, bindings: Bindings) => Promise<Response> {
  const site: Site = {
    ...options,
    glance: createGlance(options.tools),
    worst: createWorst(options.tools),
    sessions: sessionsOf(options.tools),
  };
  return async (request, bindings) => {
    const { trace } = bindings;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    trace.route = isRead ? 'uiPage' : 'uiForm';
    try {
      return await answer(site, request.method, new URL(request.url), bindings);
    } catch (thrown) {
      const problem = problemOf(thrown);
      trace.code = problem.code;
      if (problem.code === 'internal') site.failed(trace.route, thrown);
      const { main, title, status } = problemPage(problem);
      const { icons } = site.assets;
      const theme = themeOf(readCookies(bindings.incoming.headers.cookie));
      return respond.page(await barePage({ theme, title, icons }, main), status);
    }
  };
}

/** The key is read again after this, in ms: deleting it ends all sessions. */
const keyMs = 60_000;

function sessionsOf({ operator, now }: Tools): () => Promise<Sessions> {
  let known: { readonly at: number; readonly sessions: Sessions } | null = null;
  return async () => {
    if (known !== null && now() - known.at < keyMs) return known.sessions;
    try {
      known = { at: now(), sessions: createSessions(await (await operator()).sessionKey()) };
    } catch (thrown) {
      // A page says that Redis is away; it does not ask for the token again.
      if (known === null) throw thrown;
    }
    return known.sessions;
  };
}

async function answer(site: Site, method: string, url: URL, bindings: Bindings): Promise<Response> {
  const { incoming, trace, from } = bindings;
  const isRead = method === 'GET' || method === 'HEAD';
  const asset = isRead ? site.assets.files.get(url.pathname.replace('/ui/assets/', '')) : undefined;
  if (asset !== undefined) return respond.file(asset, incoming.headers['if-none-match']);
  if (url.pathname === '/ui' || url.pathname === '/') return respond.redirect('/ui/');
  const cookies = readCookies(incoming.headers.cookie);
  const sessions = await site.sessions();
  const session = sessionOf(site, incoming, cookies.get(cookieName('session', from.secure)) ?? '', sessions);
  trace.tokenId = session?.token.id ?? null;
  const call: Call = { bindings, url, cookies, sessions };
  if (isRead) return read(site, call, session);
  return method === 'POST' ? write(site, call, session) : respond.plain('Only pages and forms are here.', 405);
}

/** Whom a proxy names is who asks, whatever cookie the browser has. */
function sessionOf({ tools }: Site, incoming: IncomingMessage, cookie: string, sessions: Sessions): Session | null {
  const { api, ui } = tools.config();
  const user = userOf(incoming, ui.trustedHeader);
  return user === null ? sessions.read(cookie, api.tokens, tools.now()) : sessions.ofUser(user, tools.now());
}

async function read(site: Site, call: Call, session: Session | null): Promise<Response> {
  const { url, bindings, cookies } = call;
  const { pathname, search } = url;
  if (pathname === '/ui/login') {
    return session === null ? login(site, call, 200, null) : respond.redirect(firstPlace(session.token));
  }
  // A script asks for the stream, and has no use for a form.
  if (session === null && pathname === '/ui/stream') return respond.plain('The session has ended.', 401);
  if (session === null) {
    const ended = cookies.has(cookieName('session', bindings.from.secure)) ? '&ended=1' : '';
    return respond.redirect(`/ui/login?next=${encodeURIComponent(pathname + search)}${ended}`);
  }
  if (pathname === '/ui/stream') return follow(site, call, session);
  const found = pageFor(pathname);
  if (found === null) return refuse(site, call, session, { code: 'not-found', detail: 'There is no such page.' });
  const { page, params, scope } = found;
  if (!hasScope(session.token, scope)) {
    // The overview is where a log-in leads, whatever the token is for.
    if (pathname === '/ui/' && firstPlace(session.token) !== '/ui/') return respond.redirect(firstPlace(session.token));
    const detail = `This page needs the scope ${scope}, which the token ${session.token.id} does not have.`;
    return refuse(site, call, session, { code: 'forbidden', detail });
  }
  return guarded(site, call, session, async (visit) => framed(framing(site, call, session), await page(visit, params)));
}

async function write(site: Site, call: Call, session: Session | null): Promise<Response> {
  const { bindings, url, cookies, sessions } = call;
  const { incoming, from, trace } = bindings;
  const body = await readBody(incoming, maxSmallBodyBytes, site.budget);
  if (!body.ok) return respond.plain(body.problem.detail, kindOf(body.problem.code).status);
  const form = new URLSearchParams(body.bytes.toString('utf8'));
  body.release();
  if (!isSameOrigin(incoming.headers, from)) {
    trace.code = 'forbidden';
    return respond.plain('A page of another site has sent this form; it is refused.', 403);
  }
  if (url.pathname === '/ui/login') return signIn(site, call, form);
  if (session === null) return respond.redirect('/ui/login?ended=1');
  if (!isEqual(form.get('csrf') ?? '', session.formToken)) {
    const detail = 'The form is of another session: open the page again, and send it from there.';
    return refuse(site, call, session, { code: 'forbidden', detail });
  }
  if (url.pathname === '/ui/sign-out') return respond.redirect('/ui/login', [setCookie('session', '', 0, from.secure)]);
  if (url.pathname === '/ui/theme') {
    const theme = themeOf(new Map([[themeCookie, form.get('theme') ?? '']]));
    const cookie = `${themeCookie}=${theme}; Path=/ui; SameSite=Strict; Max-Age=31536000`;
    return respond.redirect(nextOf(form.get('back')) ?? '/ui/', [cookie]);
  }
  const action = formFor(url.pathname);
  if (action === null) return refuse(site, call, session, { code: 'not-found', detail: 'There is no such form.' });
  return guarded(site, call, session, async (visit) => {
    const done = await action.act(visit, form, action.params);
    if ('page' in done) return framed({ ...framing(site, call, session), cookies }, done.page);
    const notice = sessions.notice(done.notice, visit.now);
    return respond.redirect(done.to, [setCookie('notice', notice, 60_000, from.secure)]);
  });
}

/** What fails is a page of its own, in the same frame. */
async function guarded(
  site: Site,
  call: Call,
  session: Session,
  work: (visit: Visit) => Promise<Response>,
): Promise<Response> {
  const { trace } = call.bindings;
  try {
    return await work(await visitOf(site, call, session));
  } catch (thrown) {
    const problem = problemOf(thrown);
    if (problem.code === 'internal') site.failed(trace.route, thrown);
    return refuse(site, call, session, problem);
  }
}

function refuse(site: Site, call: Call, session: Session, problem: Problem): Promise<Response> {
  call.bindings.trace.code = problem.code;
  return framed(framing(site, call, session), problemPage(problem));
}

function framing({ tools, assets, glance }: Site, { bindings, cookies, sessions }: Call, session: Session): Framing {
  return { tools, assets, glance, cookies, sessions, session, secure: bindings.from.secure };
}

async function visitOf(
  { tools, glance, worst }: Site,
  { bindings, url, cookies }: Call,
  session: Session,
): Promise<Visit> {
  const { incoming, outgoing, from } = bindings;
  const { token, formToken } = session;
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  const socket = { request: incoming, response: outgoing };
  return {
    now: tools.now(),
    zone: zoneOf(cookies),
    mask: tools.config().ui.maskRecipients,
    token,
    tools,
    operator: await tools.operator(),
    asker: { token, client: from.address, tools, socket, signal: gone.signal },
    csrf: formToken,
    url,
    can: (scope) => hasScope(token, scope),
    glance,
    worst,
  };
}

/** What happens, for the script: it shows it, or reads the page again. */
async function follow({ tools }: Site, { bindings }: Call, { token, expiresAt }: Session): Promise<Response> {
  if (!hasScope(token, 'messages:read')) return respond.plain('The token may not follow events.', 403);
  const filter = { types: [], connector: null };
  const joined = await tools.live.join(bindings.outgoing, { token, filter, lastEventId: null, endsAt: expiresAt });
  return joined === 'joined' ? RESPONSE_ALREADY_SENT : respond.plain('There are as many streams as may be.', 503);
}
