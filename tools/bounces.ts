/**
 * npm run -s bounces -- FOLDER [--json]: what the reader of delivery reports makes of the mails in a folder.
 *
 * Reads every `.eml` of the folder, by name. With `--json` it prints one object for each file and recipient; a file without a recipient
 * gives one, and what is not said is null. Exit code 2 for a folder that is none.
 */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { maxReadBytes, readReport, type Report } from '../src/bounces/report.ts';
import { harmless, harmlessJson, printable } from '../src/errors.ts';

const usage = 'usage: npm run -s bounces -- FOLDER [--json]';
const unnamed = {
  recipient: null,
  action: null,
  status: null,
  smtpCode: null,
  permanent: null,
  diagnostic: null,
};

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe has seen enough.
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1) throw new Error(usage);
    // npm runs a script in the folder of the package, and says where it was called.
    const path = resolve(process.env['INIT_CWD'] ?? '.', folder);
    for (const file of mailsOf(path, folder)) {
      const report = await readReport(firstBytes(join(path, file)));
      const lines = values.json ? jsonOf(file, report) : textOf(file, report);
      process.stdout.write(lines.map((line) => `${line}\n`).join(''));
    }
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? printable(error.message, 500) : String(error)}\n`);
    return 2;
  }
}

function mailsOf(path: string, folder: string): string[] {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw new Error(`${folder} must be a folder`);
  return readdirSync(path)
    .filter((name) => /\.eml$/i.test(name) && statSync(join(path, name)).isFile())
    .toSorted();
}

/** What the reader looks at, and no more of a file of any size. */
function firstBytes(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(maxReadBytes);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(file, bytes, length, bytes.length - length, null);
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

function jsonOf(file: string, { kind, messageId, recipients }: Report): string[] {
  return rowsOf(recipients).map((row) => harmlessJson(JSON.stringify({ file, kind, messageId, ...row })));
}

function rowsOf(recipients: Report['recipients']): Report['recipients'] {
  return recipients.length === 0 ? [unnamed] : recipients;
}

function textOf(file: string, { kind, messageId, recipients }: Report): string[] {
  return [
    harmless(`${file}  ${kind}  ${messageId ?? '-'}`),
    ...recipients.map((each) => {
      const permanence = each.permanent === null ? '-' : each.permanent ? 'permanent' : 'temporary';
      const cells = [each.recipient ?? '-', each.action ?? '-', each.status ?? '-', each.smtpCode ?? '-', permanence];
      return harmless(`    ${[...cells, each.diagnostic ?? ''].join('  ')}`);
    }),
  ];
}
