/** The recipient ledger, drawn: one row per recipient, one column per attempt. A line turns green where a server took the message. */
import { html } from 'hono/html';
import type { AttemptEntry, Bounce, RecipientState } from '../../producer/producer.ts';
import { clock, counted } from './format.ts';
import { bounceMarks, outcomeMarks } from './marks.ts';
import { icon, mark, nothing, recipient, reply, sub, type Html, type Viewpoint } from './parts.ts';

/** With more attempts, the first ones share a column. */
const mostColumns = 6;
/** With more recipients, the rest is folded. */
const mostRows = 10;
/** Of the folded ones: a message may have thousands. */
const mostFolded = 500;

interface Column {
  readonly first: number;
  readonly last: number;
  readonly at: number;
  readonly outcomes: ReadonlyMap<string, RecipientState>;
}

export function recipientLedger(
  recipients: readonly RecipientState[],
  attempts: readonly AttemptEntry[],
  view: Viewpoint,
): Html {
  const columns = columnsOf(attempts);
  // Those without a copy come first.
  const sorted = [...recipients].sort((a, b) => rank(a) - rank(b));
  const [shown, folded] = [sorted.slice(0, mostRows), sorted.slice(mostRows, mostRows + mostFolded)];
  const rest = recipients.length - shown.length - folded.length;
  return html`${drawn(shown, columns, view)}
  ${
    folded.length === 0
      ? nothing
      : html`<details>
          <summary>${counted(folded.length, 'more recipient')}</summary>
          ${drawn(folded, columns, view)}${rest > 0 ? html`<p class="prose">${counted(rest, 'more recipient')}, which the API lists.</p>` : nothing}
        </details>`
  }`;
}

function rank({ outcome, bounce }: RecipientState): number {
  if (bounce?.action === 'failed') return -1;
  return ['rejected', 'uncertain', 'suppressed', 'deferred', 'pending', 'redirected', 'accepted'].indexOf(outcome);
}

function columnsOf(attempts: readonly AttemptEntry[]): Column[] {
  const merged = Math.max(0, attempts.length - mostColumns);
  const columns = attempts.map(({ at, recipients }, i): Column => {
    const outcomes = new Map(recipients.map((each) => [each.address, each]));
    return { first: i + 1, last: i + 1, at, outcomes };
  });
  if (merged === 0) return columns;
  const early = columns.slice(0, merged + 1);
  const outcomes = new Map(early.flatMap((each) => [...each.outcomes]));
  return [{ first: 1, last: merged + 1, at: early[0]!.at, outcomes }, ...columns.slice(merged + 1)];
}

function drawn(rows: readonly RecipientState[], columns: readonly Column[], view: Viewpoint): Html {
  return html`<table class="ledger" role="table">
    <caption class="vh">
      Each recipient over ${counted(columns.length, 'attempt')}
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        <th role="columnheader" scope="col">Recipient</th>
        ${columns.map(
          ({ first, last, at }) =>
            html`<th role="columnheader" class="at" scope="col">
              <b>${first === last ? `Attempt ${first}` : `Attempts ${first}–${last}`}</b
              >${clock(at, view.now, view.zone, 'seconds')}
            </th>`,
        )}
        <th role="columnheader" class="now" scope="col">Now</th>
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => rowOf(row, columns, view))}
    </tbody>
  </table>`;
}

/** The reason of a delivery report: its words, or else its codes. */
export function bounceText({ diagnostic, status, smtpCode }: Bounce): string {
  return diagnostic ?? ([smtpCode, status].filter((each) => each !== null).join(' ') || 'without a reason');
}

const families = {
  pending: 'new',
  accepted: 'ok',
  deferred: 'wait',
  rejected: 'bad',
  uncertain: 'doubt',
  redirected: 'ok',
  suppressed: 'new',
} as const;

function rowOf(row: RecipientState, columns: readonly Column[], view: Viewpoint): Html {
  let before: keyof typeof families = 'pending';
  const cells = columns.map(({ outcomes }) => {
    const tried = outcomes.get(row.address);
    if (tried === undefined) {
      if (before === 'accepted')
        return html`<td role="cell" class="at has"><span class="vh">has it, not in this attempt</span></td>`;
      return html`<td role="cell" class="at void"><span class="vh">not in this attempt</span></td>`;
    }
    const from = before === 'deferred' ? 'in-wait' : before === 'uncertain' ? 'in-doubt' : 'in-new';
    before = tried.outcome;
    const family = families[tried.outcome];
    const out = tried.outcome === 'rejected' || tried.outcome === 'pending' ? '' : `out-${family}`;
    const { icon: name, word } = outcomeMarks[tried.outcome];
    const shown = tried.code ?? (tried.outcome === 'uncertain' ? 'no reply' : word);
    return html`<td role="cell" class="at ${from} ${out}">
      <span class="node ${family}">${icon(name)}${shown}<span class="vh"> ${word}</span></span>
    </td>`;
  });
  const doubted = columns.some(({ outcomes }) => outcomes.get(row.address)?.outcome === 'uncertain');
  const word =
    row.outcome === 'accepted'
      ? doubted
        ? 'has it, maybe twice'
        : 'has it'
      : row.outcome === 'rejected'
        ? 'refused'
        : outcomeMarks[row.outcome].word;
  const { bounce } = row;
  const now = bounce === undefined ? { ...outcomeMarks[row.outcome], word } : bounceMarks[bounce.action];
  return html`<tr role="row">
    <th role="rowheader" scope="row">
      ${recipient(row.address, view)}${bounce === undefined ? nothing : sub(reply(bounceText(bounce), view, 200))}
    </th>
    ${cells}
    <td role="cell" class="now">${mark(now)}</td>
  </tr>`;
}
