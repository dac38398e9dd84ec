/** Mail submission by SMTP: who has submitted how much, what was refused and why, whose log-in is locked, and where it listens. */
import { html } from 'hono/html';
import type { SubmissionListener, SubmissionSettings } from '../../../config/submission.ts';
import type { LoginFailures, SubmissionReport } from '../../../queue/submissions.ts';
import { counted, memory, number, relative, span } from '../format.ts';
import {
  agoTime,
  empty,
  facts,
  mark,
  nothing,
  outside,
  reply,
  section,
  sub,
  table,
  type Column,
  type Content,
  type Html,
  type Mark,
} from '../parts.ts';
import { query } from '../query.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 100;

/** A user, a token, or the clients of a listener without a log-in. */
interface Row {
  readonly user: string;
  readonly kind: 'user' | 'token' | 'network' | 'gone';
  readonly accepted: number;
  readonly duplicates: number;
  readonly refusals: readonly (readonly [string, number])[];
  readonly loginFailures: number;
  readonly last: SubmissionReport['last'];
  readonly failures: LoginFailures;
}

const noFailures: LoginFailures = { count: 0, isLocked: false, until: null };
/** Outcomes that are a failed log-in. */
const ofLogins: readonly string[] = ['wrong-login', 'login-blocked', 'login-busy'];

export const submissionPage: Page = async (visit) => {
  const { operator, tools, url } = visit;
  const { submission, api } = tools.config();
  const text = (url.searchParams.get('q') ?? '').trim().slice(0, 200);
  const reports = new Map((await operator.submissions.report()).map((each) => [each.user, each]));
  const tokens = api.tokens.map(({ id }) => id).filter((id) => reports.has(id));
  const networks = submission.listeners.filter(({ networks: each }) => each.length > 0).map(nameOf);
  const users = submission.users.map(({ user }) => user);
  const known = new Set([...users, ...tokens, ...networks]);
  const gone = [...reports.keys()].filter((name) => !known.has(name));
  const names = [...new Set([...users, ...tokens, ...networks, ...gone])];
  const failures = new Map(
    users.length + tokens.length === 0
      ? []
      : (await operator.submissions.failures([...users, ...tokens])).map(
          (each, i) => [[...users, ...tokens][i]!, each] as const,
        ),
  );
  const kindOf = (name: string): Row['kind'] =>
    users.includes(name) ? 'user' : networks.includes(name) ? 'network' : tokens.includes(name) ? 'token' : 'gone';
  const rows = names
    .map((name) => rowOf(name, kindOf(name), reports.get(name), failures.get(name) ?? noFailures))
    .sort((a, b) => rank(a) - rank(b) || (b.last?.at ?? 0) - (a.last?.at ?? 0) || (a.user < b.user ? -1 : 1));
  const wanted = text === '' ? rows : rows.filter(({ user }) => user.toLowerCase().includes(text.toLowerCase()));
  const from = Math.max(0, Number.parseInt(url.searchParams.get('from') ?? '0', 10) || 0);
  const shown = wanted.slice(from, from + pageSize);
  return {
    title: 'Submission',
    place: 'submission',
    main: html`<header class="head">
        <h1>Submission</h1>
        <p class="lede">${verdict(rows, submission)}</p>
      </header>
      ${rows.length === 0 ? nothing : filter(text)}
      <div class="cols">
        <div>
          ${section(
            { id: 'users', title: 'Who submits', note: 'since counting began; trouble first' },
            rows.length === 0
              ? empty({
                  what: 'No user may submit mail by SMTP yet.',
                  next: html`Add <code>submission.users</code>, made by <code>postlane password</code>, or a listener
                    with <code>networks</code>. A token with <code>messages:send</code> may log in as well.`,
                })
              : html`${
                  shown.length === 0
                    ? empty({
                        what: 'No user fits the filter.',
                        next: html`<a href="/ui/submission">Show all ${counted(rows.length, 'user')}</a>`,
                      })
                    : table('Users of mail submission, the ones in trouble first', columns(visit), shown)
                }${pager(wanted.length, from, shown.length, text)}`,
          )}
        </div>
        <div>
          ${section({ id: 'listen', title: 'Listeners', note: 'from the configuration' }, listeners(submission))}
          ${section({ id: 'bounds', title: 'Limits', note: 'of one process' }, limits(submission))}
        </div>
      </div>`,
  };
};

function nameOf({ listen: { host, port } }: SubmissionListener): string {
  return `${host}:${port}`;
}

function rowOf(user: string, kind: Row['kind'], report: SubmissionReport | undefined, failures: LoginFailures): Row {
  const counts = Object.entries(report?.counts ?? {});
  const sum = (of: (outcome: string) => boolean): number =>
    counts.reduce((total, [outcome, count]) => (of(outcome) ? total + count : total), 0);
  const refusals = counts
    .filter(([outcome]) => outcome !== 'accepted' && outcome !== 'duplicate' && !ofLogins.includes(outcome))
    .sort(([, a], [, b]) => b - a);
  return {
    user,
    kind,
    accepted: sum((outcome) => outcome === 'accepted'),
    duplicates: sum((outcome) => outcome === 'duplicate'),
    refusals,
    loginFailures: sum((outcome) => ofLogins.includes(outcome)),
    last: report?.last ?? null,
    failures,
  };
}

function rank({ failures, refusals, kind }: Row): number {
  if (failures.isLocked) return 0;
  if (failures.count > 0) return 1;
  if (kind === 'gone') return 4;
  return refusals.length > 0 ? 2 : 3;
}

function verdict(rows: readonly Row[], { listeners: all }: SubmissionSettings): string {
  const accepted = rows.reduce((sum, row) => sum + row.accepted, 0);
  const locked = rows.filter(({ failures }) => failures.isLocked).length;
  const where =
    all.length === 0
      ? 'Nothing listens: the configuration has no submission.listeners.'
      : 'Mail that devices and programs submit by SMTP to postlane smtp.';
  const what = accepted === 0 ? 'Nothing was submitted yet.' : `${counted(accepted, 'message')} were accepted.`;
  const shut =
    locked === 0
      ? ''
      : ` ${counted(locked, 'user')} ${locked === 1 ? 'is' : 'are'} locked out, except from known addresses.`;
  return `${where} ${what}${shut}`;
}

function filter(text: string): Html {
  return html`<form
    class="filters"
    id="filters"
    method="get"
    action="/ui/submission"
    role="search"
    aria-label="Filter users"
  >
    <div class="f grow">
      <label for="q">User or listener</label
      ><input id="q" name="q" type="search" value="${text}" maxlength="200" spellcheck="false" />
    </div>
    <div class="acts"><button class="btn">Filter</button></div>
  </form>`;
}

function pager(count: number, from: number, shown: number, text: string): Html {
  const next = from + shown;
  return html`<div class="pager">
    <span role="status">${number(shown)} of ${number(count)}</span>
    <div class="acts">
      ${next < count ? html`<a class="btn small" href="/ui/submission${query({ q: text, from: next })}">Next</a>` : nothing}
    </div>
  </div>`;
}

const kinds: Readonly<Record<Row['kind'], string>> = {
  user: 'user',
  token: 'token of the API',
  network: 'clients of a network, without a log-in',
  gone: 'not in the configuration any more',
};

function markOf({ failures, last, kind, refusals, accepted }: Row): Mark {
  if (failures.isLocked) return { family: 'bad', icon: 'lock', word: 'locked' };
  if (failures.count > 0) return { family: 'wait', icon: 'fault', word: 'log-ins fail' };
  if (kind === 'gone') return { family: 'idle', icon: 'idle', word: 'gone' };
  if (last === null) return { family: 'idle', icon: 'idle', word: 'nothing yet' };
  if (accepted === 0 && refusals.length > 0) return { family: 'bad', icon: 'rejected', word: 'refused' };
  return { family: 'ok', icon: 'accepted', word: 'submits' };
}

function columns(visit: Visit): Column<Row>[] {
  return [
    {
      head: 'User',
      classes: 'first',
      names: true,
      cell: ({ user, kind }) => html`${outside(user)}${sub(kinds[kind])}`,
    },
    {
      head: 'State',
      bare: true,
      cell: (row) => html`${mark(markOf(row))}${loginNote(row, visit)}`,
    },
    {
      head: 'Accepted',
      classes: 'n inl',
      cell: ({ accepted, duplicates }) =>
        html`${number(accepted)}${duplicates === 0 ? nothing : sub(`${number(duplicates)} again`)}`,
    },
    {
      head: 'Refused',
      classes: 'any',
      bare: true,
      cell: ({ refusals }) =>
        refusals.length === 0
          ? '–'
          : html`<span class="mid"
              >${refusals.map(([name, count], i) => html`${i === 0 ? '' : ', '}${number(count)} <code>${outside(name)}</code>`)}</span
            >`,
    },
    { head: 'Failed log-ins', classes: 'n lo inl', cell: ({ loginFailures }) => number(loginFailures) },
    {
      head: 'Last',
      classes: 'lo2',
      cell: ({ last }) =>
        last === null ? '–' : html`${agoTime(last.at, visit)}${sub(html`from ${outside(last.address)}`)}`,
    },
    {
      head: 'Last refusal',
      classes: 'any',
      bare: true,
      cell: ({ last }) =>
        last?.refused
          ? html`<span class="mid">${reply(last.refused.reply, visit, 200)}</span
              >${sub(agoTime(last.refused.at, visit))}`
          : '–',
    },
  ];
}

function loginNote({ failures: { count, until } }: Row, { now }: Visit): Content {
  if (count === 0 || until === null) return nothing;
  return sub(`${counted(count, 'failed log-in')}; forgotten ${relative(until, now)}`);
}

function listeners({ listeners: all }: SubmissionSettings): Html {
  if (all.length === 0) {
    return empty({
      what: 'Nothing listens.',
      next: html`Add <code>submission.listeners</code>, and start <code>postlane smtp</code>.`,
    });
  }
  const words = { starttls: 'STARTTLS', tls: 'TLS', none: 'plain text' } as const;
  return facts(
    all.map((listener) => {
      const { security, networks, proxies, tls } = listener;
      const notes = [
        networks.length === 0 ? 'with a log-in' : `${counted(networks.length, 'network')} without a log-in`,
        tls?.clientCa ? 'client certificates' : '',
        proxies.length === 0 ? '' : `behind ${counted(proxies.length, 'proxy', 'proxies')}`,
      ].filter((note) => note !== '');
      return [nameOf(listener), words[security], notes.join(', ')] as const;
    }),
  );
}

function limits({ maxClients, maxBytesInFlight, dedupeForMs, acknowledgeReplicas }: SubmissionSettings): Html {
  return facts([
    ['Clients at once', number(maxClients)],
    ['Bytes in flight', memory(maxBytesInFlight)],
    ['The same submission is one message for', span(dedupeForMs)],
    ['Replicas that confirm', acknowledgeReplicas === 0 ? 'none is waited for' : number(acknowledgeReplicas)],
  ]);
}
