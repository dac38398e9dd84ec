/** Mail submission by SMTP: who has submitted how much, what was refused and why, whose log-in is locked, and where it listens. */
import { html } from 'hono/html';
import type { SenderLimits } from '../../../admin/sender-quota.ts';
import type { SubmissionListener, SubmissionSettings } from '../../../config/submission.ts';
import type { LoginFailures, SubmissionReport } from '../../../queue/submissions.ts';
import { counted, memory, number, span } from '../format.ts';
import { empty, facts, nothing, section, table, type Html } from '../parts.ts';
import { query } from '../query.ts';
import { columns, type Row, type Shown } from './submission-table.ts';
import type { Page } from '../visit.ts';

const pageSize = 100;

const noFailures: LoginFailures = { count: 0, isLocked: false, until: null };
/** Outcomes that are a failed log-in. */
const ofLogins: readonly string[] = ['wrong-login', 'login-blocked', 'login-busy'];

export const submissionPage: Page = async (visit) => {
  const { operator, tools, url } = visit;
  const { submission, api } = tools.config();
  const text = (url.searchParams.get('q') ?? '').trim().slice(0, 200);
  const reports = new Map((await operator.submissions.report()).map((each) => [each.user, each]));
  const quotas = new Map([
    ...submission.users.map(({ user, quota }) => [user, quota] as const),
    ...api.tokens.map(({ id, quota }) => [id, quota] as const),
  ]);
  const quotaOf = (name: string): SenderLimits | null => {
    const quota = quotas.get(name);
    return quota === undefined || (quota.messagesPerDay === null && quota.recipientsPerDay === null) ? null : quota;
  };
  const tokens = api.tokens.map(({ id }) => id).filter((id) => reports.has(id) || quotaOf(id) !== null);
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
    .map((name) => ({
      ...rowOf(name, kindOf(name), reports.get(name), failures.get(name) ?? noFailures),
      quota: quotaOf(name),
    }))
    .sort((a, b) => rank(a) - rank(b) || (b.last?.at ?? 0) - (a.last?.at ?? 0) || (a.user < b.user ? -1 : 1));
  const wanted = text === '' ? rows : rows.filter(({ user }) => user.toLowerCase().includes(text.toLowerCase()));
  const from = Math.max(0, Number.parseInt(url.searchParams.get('from') ?? '0', 10) || 0);
  const usedBy = ({ user, kind, quota }: Row): Promise<SenderLimits> | null =>
    quota === null ? null : operator.senderQuotas.used(kind === 'user' ? `user:${user}` : user, quota);
  const shown = await Promise.all(
    wanted.slice(from, from + pageSize).map(async (row): Promise<Shown> => ({ ...row, used: await usedBy(row) })),
  );
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
                    : table(
                        'Users of mail submission, the ones in trouble first',
                        columns(
                          visit,
                          shown.some(({ quota }) => quota !== null),
                        ),
                        shown,
                      )
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

function rowOf(
  user: string,
  kind: Row['kind'],
  report: SubmissionReport | undefined,
  failures: LoginFailures,
): Omit<Row, 'quota'> {
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
