/**
 * npm run attribution -- [--only A,B] [--workers 1,2] [--concurrency N]
 *
 * Measures how fast a lane finds out whose fault refusals are, and what that costs: a table of every scenario with one worker
 * process and with two. Pauses and schedules are scaled by 0.02, so that a minute is 1.2 s. Exit code 1 if a message that the server
 * would have taken is dead, was not sent, or was sent twice without a
 * mark.
 */
import { parseArgs } from 'node:util';
import { measure, type Figures } from './run.ts';
import { scenarios } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    workers: { type: 'string', default: '1,2' },
    concurrency: { type: 'string', default: '5' },
  },
});
const only = values.only?.split(',');
const columns = [
  'scenario',
  'workers',
  'seconds',
  'back after',
  'tries',
  'connections',
  'faults',
  'sent',
  'dead',
  'dead by mistake',
  'attempts > 1',
  'twice',
  'twice, unmarked',
  'kills',
  'left',
];
const row = (cells: readonly (string | number)[]): void => void process.stdout.write(`| ${cells.join(' | ')} |\n`);

row(columns);
row(columns.map(() => '---'));
for (const { id } of scenarios()) {
  if (only !== undefined && !only.includes(id)) continue;
  for (const workers of values.workers.split(',').map(Number)) {
    const scenario = scenarios().find((each) => each.id === id)!;
    const figures = await measure(scenario, workers, Number(values.concurrency));
    row([`${id}: ${scenario.title}`, workers, ...cellsOf(figures)]);
    if (figures.deadByMistake + figures.twiceUnmarked > 0 || figures.left > 0) process.exitCode = 1;
  }
}

function cellsOf(figures: Figures): (string | number)[] {
  const { seconds, backAfterSeconds, tries, connections, faults, sent, dead } = figures;
  const { deadByMistake, countedTwice, twice, twiceUnmarked, kills, left } = figures;
  const back = backAfterSeconds === null ? '–' : backAfterSeconds.toFixed(1);
  return [
    seconds.toFixed(1),
    back,
    tries,
    connections,
    faults,
    sent,
    dead,
    deadByMistake,
    countedTwice,
    twice,
    twiceUnmarked,
    kills,
    left,
  ];
}
