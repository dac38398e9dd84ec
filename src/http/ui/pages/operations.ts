/** Operations: replays and drops of many dead letters, how far each is, their rate and their end. */
import { html } from 'hono/html';
import type { LetterResult, Operation } from '../../../admin/operations.ts';
import { maxRatePerSecond, minRatePerSecond } from '../../../admin/bulk.ts';
import { readPlace, writePlace } from '../cursor.ts';
import { counted, number, span } from '../format.ts';
import {
  agoTime,
  clockTime,
  dialog,
  dialogLink,
  empty,
  mark,
  nothing,
  outside,
  reasonField,
  section,
  table,
  type Column,
  type Content,
  type Html,
  type Mark,
} from '../parts.ts';
import { query } from '../query.ts';
import type { Page, Visit } from '../visit.ts';

const pageSize = 50;

export const operationsPage: Page = async (visit) => {
  const { url, operator } = visit;
  const { operations } = operator;
  const before = readPlace(url.searchParams.get('cursor'), ['at'], ['id']);
  const place = before === null ? null : { at: Number(before['at']), id: String(before['id']) };
  const [listed, open] = await Promise.all([operations.list(place, pageSize), operations.open()]);
  const running =
    place === null
      ? (await Promise.all(open.slice(0, 50).map((id) => operations.get(id))))
          .flatMap((each) => each ?? [])
          .sort((a, b) => b.startedAt - a.startedAt)
      : [];
  const over = listed.filter(({ state }) => state !== 'running');
  const last = listed.length < pageSize ? undefined : listed.at(-1);
  return {
    title: 'Operations',
    place: 'operations',
    main: html`<header class="head">
        <h1>Operations</h1>
        <p class="lede">
          Replays and drops of many dead letters. They go on when you close this page, and survive a restart.
        </p>
      </header>
      ${running.length === 0 ? nothing : section({ id: 'run', title: 'Running', note: number(running.length) }, html`${running.map((each) => runningOf(each, visit))}`)}
      ${
        over.length === 0
          ? empty({
              what: running.length === 0 ? 'There are no operations.' : 'No operation is over yet.',
              next: html`Replay or drop <a href="/ui/dead-letters">dead letters</a>, and it is listed here for 30 days.`,
            })
          : section(
              { id: 'done', title: 'Finished', note: 'last 30 days' },
              table('Finished operations, newest first', columns(visit), over),
            )
      }
      ${
        last === undefined
          ? nothing
          : html`<div class="pager">
              <span></span>
              <div class="acts">
                <a
                  class="btn small"
                  href="/ui/operations${query({ cursor: writePlace({ at: last.startedAt, id: last.id }) })}"
                  >Older</a
                >
              </div>
            </div>`
      }
      ${running.map((each) => dialogs(each, visit))}`,
  };
};

const good: readonly LetterResult[] = ['replayed', 'dropped', 'already'];

function sumOf({ results }: Operation, isGood: boolean): number {
  return Object.entries(results).reduce(
    (sum, [name, count]) => (good.includes(name as LetterResult) === isGood ? sum + count : sum),
    0,
  );
}

function titleOf({ kind, total }: Operation): string {
  return `${kind === 'replay' ? 'Replay' : 'Drop'} of ${counted(total, 'message')}`;
}

function runningOf(operation: Operation, visit: Visit): Html {
  const { id, by, startedAt, what, reason, total, done, via, ratePerSecond } = operation;
  const [ok, bad] = [sumOf(operation, true), sumOf(operation, false)];
  const share = (count: number): string => `${total === 0 ? 0 : ((count / total) * 100).toFixed(1)}%`;
  const left = Math.max(0, total - done);
  const pace =
    ratePerSecond === null
      ? 'as fast as it goes'
      : `${number2(ratePerSecond)} a second, about ${span((left / ratePerSecond) * 1_000)} left`;
  return html`<div class="oper">
    <div class="oper-main">
      <h3>
        ${mark({ family: 'move', icon: 'replay', word: titleOf(operation) })}
        <span class="soft">by ${outside(by)}, ${agoTime(startedAt, visit)}</span>
      </h3>
      <p class="mid">
        ${outside(what)}${via === null ? '' : `, through ${via}`}${reason === null ? nothing : html`. “${outside(reason)}”`}
      </p>
      <div
        class="prog"
        role="progressbar"
        aria-label="${titleOf(operation)}"
        aria-valuemin="0"
        aria-valuemax="${total}"
        aria-valuenow="${done}"
        aria-valuetext="${number(done)} of ${number(total)} done"
      >
        <svg height="10" aria-hidden="true">
          <rect class="bg" width="100%" height="10" />
          <rect class="ok" width="${share(ok)}" height="10" />
          <rect class="bad" x="${share(ok)}" width="${share(bad)}" height="10" />
        </svg>
      </div>
      <p class="legend">
        <span class="l-ok"><i></i><b>${number(ok)}</b> done</span
        ><span class="l-bad"><i></i><b>${number(bad)}</b> not possible</span
        ><span class="l-none"><i></i><b>${number(left)}</b> to go</span><span>${pace}</span>
      </p>
    </div>
    <div class="acts">
      ${dialogLink(`d-rate-${id}`, 'Rate…', 'small', `Rate… of the ${titleOf(operation)}`)}${dialogLink(`d-stop-${id}`, 'Stop…', 'small danger', `Stop… the ${titleOf(operation)}`)}
    </div>
  </div>`;
}

function number2(value: number): string {
  return value >= 1 ? number(value) : String(value);
}

function dialogs(operation: Operation, { csrf }: Visit): Content {
  const { id, ratePerSecond, total, done } = operation;
  const to = `/ui/operations/${encodeURIComponent(id)}`;
  return [
    dialog({
      id: `d-rate-${id}`,
      title: 'How fast?',
      action: `${to}/rate`,
      csrf,
      verb: 'Change the rate',
      stay: 'Leave it',
      body: html`<div class="f">
        <label for="rate-${id}">Messages a second</label
        ><input
          class="w6"
          id="rate-${id}"
          name="rate"
          type="number"
          min="${minRatePerSecond}"
          max="${maxRatePerSecond}"
          step="any"
          value="${ratePerSecond ?? ''}"
        />
        <span class="hint">Empty: as fast as it goes. The limits of each connector apply as well.</span>
      </div>`,
    }),
    dialog({
      id: `d-stop-${id}`,
      title: `Stop the ${titleOf(operation)}?`,
      action: `${to}/stop`,
      csrf,
      verb: 'Stop it',
      stay: 'Let it go on',
      danger: true,
      body: html`<p class="prose">
          The ${number(done)} that are done stay done; the other ${number(Math.max(0, total - done))} stay dead letters.
        </p>
        ${reasonField(`why-${id}`, false)}`,
    }),
  ];
}

const marks: Readonly<Record<Operation['state'], Mark>> = {
  running: { family: 'move', icon: 'replay', word: 'running' },
  done: { family: 'ok', icon: 'accepted', word: 'done' },
  stopped: { family: 'wait', icon: 'stop', word: 'stopped' },
};

function columns(visit: Visit): Column<Operation>[] {
  return [
    { head: 'Started', classes: 'second', bare: true, cell: ({ startedAt }) => clockTime(startedAt, visit, 'minutes') },
    { head: 'What', classes: 'first', names: true, cell: ({ kind }) => kind },
    { head: 'Dead letters', classes: 'any', bare: true, cell: ({ what }) => outside(what) },
    { head: 'By', classes: 'inl', cell: ({ by }) => outside(by) },
    { head: 'Done', classes: 'n inl', cell: (each) => `${number(sumOf(each, true))} of ${number(each.total)}` },
    { head: 'Not possible', classes: 'n inl', cell: (each) => number(sumOf(each, false)) },
    { head: 'Result', bare: true, cell: ({ state }) => mark(marks[state]) },
    {
      head: 'Note',
      classes: 'lo any',
      bare: true,
      cell: ({ via, reason, stoppedBy, stopReason, endedAt, startedAt }) =>
        html`<span class="mid"
          >${via === null ? nothing : html`through ${outside(via)} `}${reason === null ? nothing : html`“${outside(reason)}” `}${stoppedBy === null ? nothing : html`stopped by ${outside(stoppedBy)} `}${stopReason === null ? nothing : html`“${outside(stopReason)}” `}${endedAt === null ? nothing : html`within ${span(endedAt - startedAt)}`}</span
        >`,
    },
  ];
}
