/** The output of a command: results on stdout, everything else on stderr, JSON on request, colours on a terminal only. */
import type { Readable } from 'node:stream';
import { harmless, harmlessJson } from '../errors.ts';

/** The streams of a process. A test passes its own. */
export interface Streams {
  readonly stdin: Readable;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

export interface Terminal {
  readonly json: boolean;
  /** One result: a JSON document on one line, or the lines for people. */
  readonly result: (value: unknown, lines: () => readonly string[]) => void;
  /** Many results: one JSON document per line, or the lines for people. */
  readonly results: (values: readonly unknown[], lines: () => readonly string[]) => void;
  /** A note for people, on stderr; not with --json. */
  readonly note: (line: string) => void;
  /** Replaces the last line on a terminal, and does nothing elsewhere. An empty text clears the line. */
  readonly progress: (text: string) => void;
  /** Always on stderr. */
  readonly error: (text: string) => void;
  readonly bold: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

// oxlint-disable-next-line no-control-regex -- the escape sequences that this file writes
const ownColours = /(\u001b\[(?:0|1|31|32)m)/;
/** Matches nowhere. */
const noColours = /(?!)/u;

export function createTerminal(
  { stdout, stderr }: Streams,
  { json, env }: { readonly json: boolean; readonly env: Readonly<Record<string, string | undefined>> },
): Terminal {
  // https://no-color.org: any value but an empty one turns colours off.
  const colour = stdout.isTTY === true && !json && (env['NO_COLOR'] ?? '') === '';
  const paint = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const write = (lines: readonly string[]): void => {
    if (lines.length > 0) stdout.write(`${lines.join('\n')}\n`);
  };
  // Whatever it shows comes from messages, servers and Redis. Of escape sequences, only colours pass, where there are colours.
  const shown = (text: string): string =>
    text
      .split(colour ? ownColours : noColours)
      .map((part, i) => (i % 2 === 1 ? part : harmless(part)))
      .join('');
  const document = (value: unknown): string => harmlessJson(JSON.stringify(value));
  const progress = (text: string): void => {
    if (stderr.isTTY === true && !json) stderr.write(`\r\u001b[2K${harmless(text)}`);
  };
  return {
    json,
    result: (value, lines) => write(json ? [document(value)] : lines().map(shown)),
    results: (values, lines) => write(json ? values.map(document) : lines().map(shown)),
    note(line) {
      if (!json) stderr.write(`${shown(line)}\n`);
    },
    progress,
    error(text) {
      progress('');
      stderr.write(`${json ? harmlessJson(text) : text.split('\n').map(shown).join('\n')}\n`);
    },
    bold: paint(1),
    good: paint(32),
    bad: paint(31),
  };
}

/** A duration for people: `850 ms`, `12 s`, `5 min`, `3.2 h`, `4 d`. */
export function ago(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${(ms / 3_600_000).toFixed(1)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

export { shownTime as iso } from '../errors.ts';
