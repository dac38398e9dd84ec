/** Loads a configuration that stands in the test itself, with the environment and the files that the test names. */
import { posix } from 'node:path';
import { type ConfigIssue, formatIssues } from '../../src/config/issues.ts';
import { loadConfig, type LoadResult } from '../../src/config/load.ts';

interface Sources {
  readonly env?: Record<string, string>;
  /** Absolute path → text or bytes. */
  readonly files?: Record<string, string | Buffer>;
}

/** The text is `/etc/postlane/postlane.yaml`. */
export function loadText(text: string, { env = {}, files = {} }: Sources = {}): Promise<LoadResult> {
  const all: ReadonlyMap<string, string | Buffer> = new Map(
    Object.entries({ ...files, '/etc/postlane/postlane.yaml': text }),
  );
  return loadConfig({
    file: '/etc/postlane/postlane.yaml',
    env,
    cwd: posix.sep,
    readFile: async (path) => {
      const found = all.get(path);
      return found === undefined ? { ok: false, problem: 'ENOENT' } : { ok: true, bytes: Buffer.from(found) };
    },
  });
}

export async function goodConfig(text: string, sources?: Sources) {
  const result = await loadText(text, sources);
  if (!result.ok) throw new Error(`expected a good configuration:\n${formatIssues(result.issues).join('\n')}`);
  return result.config;
}

/** `line rule key` of every issue, in order. */
export async function mistakes(text: string, sources?: Sources): Promise<string[]> {
  const result = await loadText(text, sources);
  return result.ok ? [] : result.issues.map(brief);
}

export function brief({ line, rule, key }: ConfigIssue): string {
  return `${line} ${rule} ${key}`;
}

/** The only issue there is. */
export async function onlyIssue(text: string, sources?: Sources): Promise<ConfigIssue> {
  const result = await loadText(text, sources);
  const issues = result.ok ? [] : result.issues;
  if (issues.length !== 1) throw new Error(`expected one issue:\n${formatIssues(issues).join('\n')}`);
  return issues[0]!;
}

/** A configuration around one connector `c` that is also the gateway; `body` is indented by four spaces. */
export function withConnector(body: string): string {
  return `hostname: mail.example.com\nsystemDefaultGateway: c\nconnectors:\n  c:\n${body.replaceAll(/^(?=.)/gm, '    ')}\n`;
}
