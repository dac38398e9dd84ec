/** `doctor`: compares ledger, queues, dead letters and contents, reports inconsistencies, and repairs them with --fix. */
import type { Command } from 'commander';
import { countText, findingKinds, type Finding, type KeyCount } from '../admin/doctor/findings.ts';
import { sends } from '../routing/connector.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { noteDrain } from './drain.ts';
import type { ExitCode } from './failure.ts';
import { noteRoom } from './room.ts';

interface DoctorOptions {
  readonly fix?: boolean;
}

export function addDoctor(program: Command, action: Action): void {
  program
    .command('doctor')
    .description('find inconsistencies between ledger, queues and dead letters; workers may be running')
    .option('--fix', 'repair what can be repaired safely')
    .addHelpText('after', () => `\n${kindLines().join('\n')}`)
    .action(action<DoctorOptions>((call, { fix = false }) => examine(call, fix)));
}

/** 0 if there is no inconsistency or all are repaired, otherwise 1. */
async function examine(call: Call, fix: boolean): Promise<ExitCode> {
  const { terminal } = call;
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  let looked = 0;
  let found = 0;
  let fixed = 0;
  let keys: readonly KeyCount[] = [];
  try {
    const findings = operator.diagnose({
      fix,
      now: Date.now,
      senders: config.connectors.filter(({ direction }) => sends(direction)).map(({ id }) => id),
      lifetimeMs: config.retry.lifetimeMs,
      retentionMs: config.retention.ledgerMs,
      onKeys(counts) {
        keys = counts;
      },
      onProgress(count) {
        looked = count;
        terminal.progress(`checked ${count}`);
      },
    });
    for await (const finding of findings) {
      found += 1;
      fixed += finding.fixed ? 1 : 0;
      terminal.progress('');
      const { kind, id, detail } = finding;
      terminal.result({ kind, id, detail, fixed: finding.fixed }, () => findingLines(finding, fix, terminal));
    }
    terminal.progress('');
    const rest = found === 0 ? 'no inconsistency' : `${found} found, ${fixed} repaired`;
    terminal.note(`Checked ${looked} rows, jobs, dead letters, contents and lanes: ${rest}.`);
    for (const count of keys) terminal.note(keyLine(count));
    await noteRoom(operator, terminal);
    noteDrain(config, terminal);
    return fixed === found ? 0 : 1;
  } finally {
    operator.close();
  }
}

function findingLines(
  { kind, id, detail, fixed }: Finding,
  fix: boolean,
  { bad, good }: Pick<Call['terminal'], 'bad' | 'good'>,
): string[] {
  const { means, fix: mending } = findingKinds[kind];
  const next = fixed
    ? good('repaired')
    : mending === null
      ? ''
      : fix
        ? bad('could not be repaired')
        : `--fix ${mending}`;
  return [`${bad(kind)}  ${id}  ${detail}`, `  ${means}${next === '' ? '' : ` ${next}`}`];
}

function keyLine(count: KeyCount): string {
  const { key, isHere } = count;
  const what = key === null ? 'Not sealed' : `Sealed with ${key}${isHere ? '' : ' (which is not here)'}`;
  return `${what}: ${countText(count)}.`;
}

/** For the help: every kind, what it means, and what --fix does. */
function kindLines(): string[] {
  return Object.entries(findingKinds).flatMap(([kind, { means, fix }]) => [
    `  ${kind}`,
    `      ${means}${fix === null ? '' : ` --fix ${fix}.`}`,
  ]);
}
