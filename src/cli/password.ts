/** `password`: makes the hash that `submission.users` has. The password comes from stdin, or is made here; never from an argument, which every process can see. */
import type { Command } from 'commander';
import type { Action, Call } from './command.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { readStream } from './files.ts';

interface PasswordOptions {
  readonly generate?: boolean;
}

export function addPassword(program: Command, action: Action): void {
  program
    .command('password')
    .description('print the hash of a password for `submission.users`; the password is read from stdin')
    .option('--generate', 'make a password and print it, too: this is the only time that it is shown')
    .action(action<PasswordOptions>((call, options) => printHash(call, options)));
}

/** Shorter ones are found by guessing, in spite of the limit of failures. */
const minCharacters = 12;

async function printHash(call: Call, { generate = false }: PasswordOptions): Promise<ExitCode> {
  const { generatePassword, hashPassword, maxPasswordBytes } = await import('../submission/password.ts');
  const password = generate ? generatePassword() : await readPassword(call, maxPasswordBytes);
  const hash = await hashPassword(password);
  call.terminal.result({ ...(generate ? { password } : {}), hash }, () => [
    ...(generate ? [`password: ${password}`] : []),
    hash,
  ]);
  return 0;
}

/** One line. What a user cannot type into a device, and no client can send, is refused now and not at the first login. */
async function readPassword({ streams, terminal }: Call, maxBytes: number): Promise<string> {
  const { stdin } = streams;
  if ('isTTY' in stdin && stdin.isTTY === true) {
    terminal.note('Type the password, which will be shown, and Enter; or run `postlane password --generate`.');
  }
  const read = await readStream(stdin, maxBytes + 2, '\n');
  if (!read.ok) throw new UsageError(`the password cannot be read: ${read.problem}`);
  const password = read.bytes.toString().replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('there is no password on stdin; `postlane password --generate` makes one');
  if (/\p{Cc}/u.test(password)) throw new UsageError('a password is one line without control characters');
  if (password.length < minCharacters) throw new UsageError(`a password has at least ${minCharacters} characters`);
  return password;
}
