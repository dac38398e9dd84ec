/** The log-in. */
import { html } from 'hono/html';
import { icon, nothing, type Html } from '../parts.ts';

export interface LoginForm {
  /** Name of this installation. */
  readonly host: string;
  /** Where to go afterwards. */
  readonly next: string | null;
  /** A session has ended. */
  readonly ended: boolean;
  readonly mistake: string | null;
  /** A link that signs in, and whom. */
  readonly by: { readonly link: string; readonly id: string } | null;
}

export function loginForm({ host, next, ended, mistake, by }: LoginForm): Html {
  const action = next === null ? '/ui/login' : `/ui/login?next=${encodeURIComponent(next)}`;
  return html`<div class="login">
      <header class="bar1">
        <span class="brand"
          ><svg viewBox="0 0 22 22" aria-hidden="true"><use href="#i-brand" /></svg><span>Postlane</span></span
        >
      </header>
      <div class="art" aria-hidden="true">${art}</div>
      <main id="main" tabindex="-1">
        <div class="card">
          <div>
            <h1>Sign in</h1>
            <p class="lede">${host}</p>
          </div>
          ${
            ended
              ? html`<div class="note-box" role="status">
                  ${icon('info')}
                  <p><b>Your session has ended.</b> It lasts 8 hours, and as long as its token is valid.</p>
                </div>`
              : nothing
          }
          ${by === null ? tokenForm(action, mistake) : linkForm(action, by)}
          <details>
            <summary>I don’t have a token</summary>
            <p class="prose">
              Ask an administrator to create one, and to add the entry that it prints to
              <code>api.tokens</code>:
            </p>
            <div class="block">
              <pre><code>postlane token new --id ops-anna --scope operator</code></pre>
            </div>
          </details>
        </div>
      </main>
    </div>
    <div class="toasts" role="status" aria-live="polite"></div>`;
}

function linkForm(action: string, { link, id }: NonNullable<LoginForm['by']>): Html {
  return html`<form class="kit" method="post" action="${action}">
    <input type="hidden" name="link" value="${link}" />
    <p class="prose">This link signs you in as <b>${id}</b>, once.</p>
    <button class="btn primary">Sign in as ${id}</button>
  </form>`;
}

function tokenForm(action: string, mistake: string | null): Html {
  const invalid = mistake === null ? nothing : html`aria-invalid="true"`;
  return html`<form class="kit" method="post" action="${action}">
    <div class="f">
      <label for="token">Token</label
      ><input
        id="token"
        name="token"
        type="password"
        autocomplete="current-password"
        required
        maxlength="300"
        spellcheck="false"
        aria-describedby="token-h ${mistake === null ? '' : 'token-e'}"
        ${invalid}
      />
      ${mistake === null ? nothing : html`<p class="err" id="token-e">${icon('fault')}${mistake}</p>`}
      <span class="hint" id="token-h"
        >It usually starts with plk_. Its scopes decide what you may see and do. The browser keeps a session cookie, not
        the token.</span
      >
    </div>
    <button class="btn primary">Sign in</button>
  </form>`;
}

/** Lanes, larger than life: three that flow and one that is shut. */
const art: Html = html`<svg viewBox="0 0 800 900" preserveAspectRatio="xMidYMid slice">
  <path
    class="edge"
    d="M0 122H800M0 218H800M0 262H800M0 358H800M0 402H800M0 498H800M0 542H800M0 638H800M0 682H800M0 778H800"
  />
  <path class="letter" d="M400 148h-8v44h8zM385 148h-8v44h8zM370 148h-8v44h8zM355 148h-8v44h8z" />
  <path class="gate" d="M432 122v26M432 218v-26M432 402v26M432 498v-26M432 542v26M432 638v-26M432 682v26M432 778v-26" />
  <path class="go" d="M470 148h8v44h-8zM540 148h8v44h-8zM590 148h8v44h-8zM690 148h8v44h-8zM770 148h8v44h-8z" />
  <path
    class="letter"
    d="M400 288h-8v44h8zM385 288h-8v44h8zM370 288h-8v44h8zM355 288h-8v44h8zM340 288h-8v44h8zM325 288h-8v44h8zM310 288h-8v44h8zM295 288h-8v44h8zM280 288h-8v44h8zM265 288h-8v44h8zM250 288h-8v44h8zM235 288h-8v44h8zM220 288h-8v44h8zM205 288h-8v44h8zM190 288h-8v44h8zM175 288h-8v44h8z"
  />
  <path class="shut" d="M432 262v96" />
  <path class="letter" d="M400 428h-8v44h8z" />
  <path class="go" d="M520 428h8v44h-8zM730 428h8v44h-8z" />
  <path
    class="letter"
    d="M400 568h-8v44h8zM385 568h-8v44h8zM370 568h-8v44h8zM355 568h-8v44h8zM340 568h-8v44h8zM325 568h-8v44h8z"
  />
  <path
    class="go"
    d="M470 568h8v44h-8zM500 568h8v44h-8zM550 568h8v44h-8zM620 568h8v44h-8zM650 568h8v44h-8zM700 568h8v44h-8z"
  />
  <path class="go" d="M610 708h8v44h-8z" />
</svg>`;
