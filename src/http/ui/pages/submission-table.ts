/** The table of who submits: what a row is, and its columns. */
import { html } from 'hono/html';
import type { SenderLimits } from '../../../admin/sender-quota.ts';
import type { LoginFailures, SubmissionReport } from '../../../queue/submissions.ts';
import { counted, number, relative } from '../format.ts';
import { agoTime, mark, nothing, outside, reply, sub, type Column, type Content, type Mark } from '../parts.ts';
import type { Visit } from '../visit.ts';

/** A user, a token, or the clients of a listener without a log-in. */
export interface Row {
  readonly user: string;
  readonly kind: 'user' | 'token' | 'network' | 'gone';
  readonly accepted: number;
  readonly duplicates: number;
  readonly refusals: readonly (readonly [string, number])[];
  readonly loginFailures: number;
  readonly last: SubmissionReport['last'];
  readonly failures: LoginFailures;
  /** null: it has none. */
  readonly quota: SenderLimits | null;
}

/** A row with what it has submitted of its quota. */
export type Shown = Row & { readonly used: SenderLimits | null };

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

export function columns(visit: Visit, withQuotas: boolean): Column<Shown>[] {
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
    ...(withQuotas ? [quotaColumn] : []),
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

const quotaColumn: Column<Shown> = { head: 'Last 24 hours', classes: 'lo2', bare: true, cell: quotaCell };

function quotaCell({ quota, used }: Shown): Content {
  if (quota === null) return html`<span class="soft">no quota</span>`;
  const part = (count: number | null, most: number | null, what: string): Content =>
    most === null ? nothing : html`<span class="mid">${number(count ?? 0)} of ${number(most)} ${what}</span>`;
  return html`${part(used?.messagesPerDay ?? null, quota.messagesPerDay, 'messages')}
  ${part(used?.recipientsPerDay ?? null, quota.recipientsPerDay, 'recipients')}`;
}

function loginNote({ failures: { count, until } }: Row, { now }: Visit): Content {
  if (count === 0 || until === null) return nothing;
  return sub(`${counted(count, 'failed log-in')}; forgotten ${relative(until, now)}`);
}
