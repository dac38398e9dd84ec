/** `rekey`: seals everything that is stored with the active key, so that the others can be removed from the configuration. */
import type { Command } from 'commander';
import { countText } from '../admin/doctor/findings.ts';
import type { KeyTally, RekeyReport, Why } from '../admin/operator.ts';
import { printable } from '../errors.ts';
import { shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { parseRate } from './values.ts';

interface RekeyFlags {
  readonly from?: string;
  readonly dryRun?: boolean;
  readonly rate?: number;
}

const help = `
Producers and workers may be running. The command can be stopped at any time and started again.
Exit codes: 0 the other keys are no longer needed, 1 something is left under another key or unsealed, 2 usage or configuration error.
docs/encryption.md has the steps of a rotation.`;

export function addRekey(program: Command, action: Action): void {
  program
    .command('rekey')
    .description('seal everything that is stored with the active key, so that the other keys can be removed')
    .option('--from <key>', 'only what this key has sealed; default: everything that the active key has not')
    .option('--dry-run', 'count what would be sealed, and change nothing')
    .option('--rate <rate>', 'at most so many messages and contents: 20/s or 600/m', parseRate)
    .addHelpText('after', help)
    .action(action<RekeyFlags>(rekeyAll));
}

async function rekeyAll(call: Call, { from, dryRun = false, rate = 0 }: RekeyFlags): Promise<ExitCode> {
  const { terminal } = call;
  const { config } = await requireConfig(call, call.configFile);
  const { encryption } = config;
  if (encryption === null) throw new UsageError('there are no keys: `encryption` is not configured');
  if (from !== undefined) checkFrom(from, encryption);
  const operator = await openOperator(config);
  try {
    const report = await operator.rekey({
      from: from ?? null,
      dryRun,
      betweenMs: rate,
      onProgress: (sealed) => terminal.progress(`${sealed} sealed`),
    });
    terminal.progress('');
    if (report === null) throw new UsageError('there are no keys: `encryption` is not configured');
    const { active, sealed, left } = report;
    const done = left.length === 0;
    if (!dryRun) {
      const detail = `with ${active}: ${countText(sealed)}; left: ${done ? 'nothing' : left.map(leftText).join('; ')}`;
      const note = { action: 'rekey', target: from ?? null, reason: null, detail } as const;
      await operator.as(shellActor(), config).note(note, done ? 'done' : 'refused');
    }
    terminal.result({ active, from: from ?? null, dryRun, done, sealed, left }, () => lines(report, from, dryRun));
    return done ? 0 : 1;
  } finally {
    operator.close();
  }
}

function checkFrom(from: string, { active, keys }: { readonly active: string; readonly keys: object }): void {
  if (from === active) throw new UsageError(`--from: "${printable(from, 40)}" is the active key`);
  if (Object.hasOwn(keys, from)) return;
  const names = Object.keys(keys).filter((name) => name !== active);
  const known = names.length === 0 ? 'there is no other key' : `the other keys: ${names.join(', ')}`;
  throw new UsageError(`--from: there is no key "${printable(from, 40)}" in \`encryption.keys\`; ${known}`);
}

const meanings: Readonly<Record<Why, string>> = {
  'to-do': 'would be sealed',
  'key-missing': 'the key is not in this configuration; if it is lost, see "A key that is lost" in docs/encryption.md',
  busy: 'being sent; run the command again',
  changed: 'changed meanwhile, or still arriving: make the key active in all producers, then run the command again',
  damaged: 'changed after it was sealed; it cannot be opened',
  refused: 'not sealed, and refused by `encryption.require`: becomes a dead letter when it is due',
  'too-large': 'not sealed yet; its worker seals it when it is due',
  'plain-content': 'stored before encryption, and needed by a message',
};

function lines({ active, sealed, left }: RekeyReport, from: string | undefined, dryRun: boolean): string[] {
  const rest = left.map((tally) => `${leftText(tally)} (${meanings[tally.why]})`);
  const others = from === undefined ? 'Nothing is left under another key' : `Nothing is left under ${from}`;
  return [
    ...(dryRun ? [] : [`Sealed with ${active}: ${countText(sealed)}.`]),
    ...(left.length === 0 ? [`${others}.`] : ['Left:', ...rest.map((line) => `  ${line}`)]),
  ];
}

function leftText(tally: KeyTally): string {
  const what = tally.key === null ? 'not sealed' : `sealed with ${tally.key}`;
  return `${what}: ${countText(tally)}`;
}
