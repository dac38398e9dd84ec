/** What every command is given, and the shape of a command: the types that the program and its commands share. */
import type { ExitCode } from './failure.ts';
import type { Streams, Terminal } from './terminal.ts';

/** The process around a command. A test passes its own. */
export interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Options that every command takes, before or after its name. */
export interface GlobalOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** What a command gets in addition to its own arguments. */
export interface Call extends Environment {
  readonly terminal: Terminal;
  readonly streams: Streams;
  readonly configFile: string | undefined;
}

/** Makes a commander action of a command: `run` gets the call, the options and the operands; its exit code is kept. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- each command names the type of its own options
export type Action = <Options>(
  run: (call: Call, options: Options, operands: readonly string[]) => Promise<ExitCode>,
) => (...args: unknown[]) => Promise<void>;
