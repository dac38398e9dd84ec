/**
 * Resolves references in text values: `${NAME}` from the environment, `${file:PATH}` from a file, `${credential:NAME}` from a credential that
 * systemd hands to the unit; `$${` is a plain `${`.
 */
import { join, resolve } from 'node:path';
import type { TextRead } from './files.ts';
import type { Path, Problem } from './issues.ts';

export interface ReferenceSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Base of relative paths: the directory of the configuration file. */
  readonly directory: string;
  readonly readText: (path: string) => Promise<TextRead>;
}

export interface Expansion {
  readonly problems: readonly Problem[];
  /** Paths of values with a reference; their resolved text must never be printed. */
  readonly referring: ReadonlySet<string>;
  /** Those that consist of one reference, which may stand for a number or a boolean. */
  readonly whole: ReadonlySet<string>;
  /** Absolute paths of the referenced files, unreadable ones included. */
  readonly files: readonly string[];
}

export const pathId = (path: Path): string => path.join('\u0000');

type Referred = { value: string } | Pick<Problem, 'rule' | 'message'>;

/** https://systemd.io/CREDENTIALS/ */
const credential = 'credential:';
const reference = /\$\$\{|\$\{([^}]*)(\}?)/g;

/** Resolves the references in `data`, in place. A value with a reference that fails becomes null. */
export async function expandReferences(data: Record<string, unknown>, sources: ReferenceSources): Promise<Expansion> {
  const problems: Problem[] = [];
  const referring = new Set<string>();
  const whole = new Set<string>();
  const files = new Map<string, Promise<TextRead>>();

  const readOnce = async (path: string): Promise<TextRead> => {
    const read = files.get(path) ?? sources.readText(path);
    files.set(path, read);
    return read;
  };
  const textOf = async (path: string): Promise<Referred> => {
    const read = await readOnce(path);
    if (read.ok) return { value: withoutLastLineEnds(read.text) };
    return { rule: 'missing-file', message: `refers to the file ${path}, which cannot be read (${read.problem})` };
  };
  const valueOf = async (name: string, closed: boolean): Promise<Referred> => {
    if (!closed) return { rule: 'bad-reference', message: 'has a ${ without a closing }; write $${ for a plain ${' };
    if (name.startsWith('file:') && name.length > 'file:'.length) {
      return textOf(resolve(sources.directory, name.slice('file:'.length)));
    }
    if (name.startsWith(credential)) {
      const id = name.slice(credential.length);
      if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/.test(id)) {
        return {
          rule: 'bad-reference',
          message: 'refers to a credential by what is no name: letters, digits, dots, _ and -',
        };
      }
      const folder = sources.env['CREDENTIALS_DIRECTORY'];
      if (folder !== undefined && folder !== '') return textOf(join(folder, id));
      const message = `refers to the credential ${id}, but CREDENTIALS_DIRECTORY is not set: systemd sets it for a unit with LoadCredential=`;
      return { rule: 'missing-variable', message };
    }
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      return {
        rule: 'bad-reference',
        message: 'has a reference that is none of ${NAME}, ${file:PATH} and ${credential:NAME}',
      };
    }
    const value = sources.env[name];
    return value === undefined
      ? { rule: 'missing-variable', message: `refers to the environment variable ${name}, which is not set` }
      : { value };
  };
  const expandText = async (text: string, path: Path): Promise<string | null> => {
    const id = pathId(path);
    const parts: string[] = [];
    let end = 0;
    let failed = false;
    for (const match of text.matchAll(reference)) {
      parts.push(text.slice(end, match.index));
      end = match.index + match[0].length;
      if (match[1] === undefined) {
        parts.push('${');
        continue;
      }
      referring.add(id);
      if (match[0].length === text.length) whole.add(id);
      const result = await valueOf(match[1], match[2] === '}');
      if ('value' in result) {
        parts.push(isInLogin(path, text, end) ? encodeURIComponent(result.value.toWellFormed()) : result.value);
      } else {
        failed = true;
        problems.push({ path, ...result, on: 'value' });
      }
    }
    return failed ? null : parts.join('') + text.slice(end);
  };
  const visit = async (holder: Record<string | number, unknown>, key: string | number, path: Path): Promise<void> => {
    const value = holder[key];
    if (typeof value === 'string') {
      if (value.includes('${')) holder[key] = await expandText(value, path);
    } else if (Array.isArray(value)) {
      for (const at of value.keys()) await visit(value as unknown as Record<number, unknown>, at, [...path, at]);
    } else if (typeof value === 'object' && value !== null) {
      const map = value as Record<string, unknown>;
      for (const name of Object.keys(map)) await visit(map, name, [...path, name]);
    }
  };

  for (const name of Object.keys(data)) await visit(data, name, [name]);
  return { problems, referring, whole, files: [...files.keys()] };
}

/** Editors and `echo` end a file with line ends that are not part of the secret. A pattern would take quadratic time. */
function withoutLastLineEnds(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\n' || text[end - 1] === '\r') end -= 1;
  return text.slice(0, end);
}

/**
 * Whether a reference is between the `://` and the `@` of a URL, as in `redis://:${PASSWORD}@host` and in `proxy`: there `/ # ? @ : %` would
 * mean something else, so its text is percent-encoded, and the password arrives as it is.
 */
function isInLogin(path: Path, text: string, end: number): boolean {
  const isUrl =
    path.at(-1) === 'proxy' ? /^(?:https?|socks5h?):\/\//i.test(text) : /^(?:rediss?|postgres(?:ql)?):\/\//.test(text);
  return isUrl && text.includes('@', end);
}
