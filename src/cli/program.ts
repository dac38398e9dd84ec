/** The command line: its commands and global options, and how arguments become an exit code. */
import { Command } from 'commander';
import type { Action, Call, Environment, GlobalOptions } from './command.ts';
import { report, reportUsage, type ExitCode } from './failure.ts';
import { createTerminal, type Streams } from './terminal.ts';
import { version } from './version.ts';

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

  for (const add of await commandsFor(args[0])) add(program, action);
  inherit(program);

  try {
    await program.parseAsync([...args], { from: 'user' });
    return exit;
  } catch (thrown) {
    return report(thrown, terminal);
  }
}

type AddCommand = (program: Command, action: Action) => void;

/** Name → its file. In the order of `--help`. */
const commands: Readonly<Record<string, () => Promise<AddCommand>>> = {
  worker: async () => (await import('./worker-command.ts')).addWorker,
  smtp: async () => (await import('./smtp-command.ts')).addSmtp,
  outbox: async () => (await import('./outbox-command.ts')).addOutbox,
  serve: async () => (await import('./serve-command.ts')).addServe,
  token: async () => (await import('./token.ts')).addToken,
  check: async () => (await import('./check.ts')).addCheck,
  explain: async () => (await import('./explain.ts')).addExplain,
  send: async () => (await import('./send.ts')).addSend,
  status: async () => (await import('./status.ts')).addStatus,
  // The file has `pause` and `resume` too, which load all files, as everything else does that is not in this list.
  connectors: async () => (await import('./lanes.ts')).addLanes,
  messages: async () => (await import('./messages.ts')).addMessages,
  dead: async () => (await import('./dead.ts')).addDead,
  resolve: async () => (await import('./resolve.ts')).addResolve,
  cancel: async () => (await import('./message-commands.ts')).addMessages,
  operations: async () => (await import('./operations.ts')).addOperations,
  suppressions: async () => (await import('./suppressions.ts')).addSuppressions,
  webhooks: async () => (await import('./webhooks.ts')).addWebhooks,
  audit: async () => (await import('./audit.ts')).addAudit,
  password: async () => (await import('./password.ts')).addPassword,
  rekey: async () => (await import('./rekey.ts')).addRekey,
  doctor: async () => (await import('./doctor.ts')).addDoctor,
};

/** The command that comes first alone, which starts a tenth sooner; else all, for the help and for what was misspelt. */
async function commandsFor(name = ''): Promise<readonly AddCommand[]> {
  const wanted = Object.hasOwn(commands, name) ? [commands[name]!] : Object.values(commands);
  return Promise.all(wanted.map((load) => load()));
}

/** Commander copies these settings only to commands created after they were set, and not to the commands of a group. */
function inherit(command: Command): void {
  for (const sub of command.commands) {
    sub.copyInheritedSettings(command);
    inherit(sub);
  }
}
