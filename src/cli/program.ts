/** The command line: its commands and global options, and how arguments become an exit code. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCheck } from './check.ts';
import type { Action, Call, Environment, GlobalOptions } from './command.ts';
import { addDead } from './dead.ts';
import { addDoctor } from './doctor.ts';
import { addExplain } from './explain.ts';
import { report, reportUsage, type ExitCode } from './failure.ts';
import { addLanes } from './lanes.ts';
import { addResolve } from './resolve.ts';
import { addSend } from './send.ts';
import { addStatus } from './status.ts';
import { createTerminal, type Streams } from './terminal.ts';
import { addWorker } from './worker-command.ts';

export interface RunOptions extends Environment {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly streams: Streams;
}

/** Runs one command to its end. Never rejects: errors are reported on stderr. */
export async function run({ args, env, cwd, streams }: RunOptions): Promise<ExitCode> {
  // Commander reports usage errors before it has parsed the options; what follows `--` is not an option.
  const json = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length).includes('--json');
  const early = createTerminal(streams, { json, env });
  let terminal = early;
  let exit: ExitCode = 0;

  const action: Action =
    (runCommand) =>
    async (...given) => {
      const command = given.at(-1) as Command;
      const { config, json = false } = command.optsWithGlobals<GlobalOptions>();
      terminal = createTerminal(streams, { json, env });
      const call: Call = { env, cwd, streams, terminal, configFile: config };
      exit = await runCommand(call, command.opts() as Parameters<typeof runCommand>[1], command.args);
    };

  const program = new Command('postlane')
    .description(
      'Sends an organisation’s outbound e-mail from a queue in Redis, each message through the connector of its From address.',
    )
    .version(version())
    .option('--config <file>', 'configuration file (default: $POSTLANE_CONFIG, otherwise ./postlane.yaml)')
    .option('--json', 'print results as JSON on stdout, one document or one per line, and errors as JSON on stderr')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
      outputError: (text) => reportUsage(text, early),
    })
    .addHelpText('after', '\nExit codes: 0 success, 1 the operation failed, 2 usage or configuration error.');

  const commands = [addWorker, addCheck, addExplain, addSend, addStatus, addLanes, addDead, addResolve, addDoctor];
  for (const add of commands) add(program, action);
  inherit(program);

  try {
    await program.parseAsync([...args], { from: 'user' });
    return exit;
  } catch (thrown) {
    return report(thrown, terminal);
  }
}

/** The version of the package, whose manifest is two folders up in the repository and in an installation. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** Commander copies these settings only to commands created after they were set, and not to the commands of a group. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub.copyInheritedSettings(command);
    inherit(sub);
  }
}
