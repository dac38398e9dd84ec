/** Loads the configuration: finds the file, reads it and its references, and returns either the configuration or every mistake. */
import { dirname, resolve } from 'node:path';
import type { ZodType } from 'zod';
import { apiPemPlaces } from './api.ts';
import { buildConfig } from './build.ts';
import type { Config } from './config.ts';
import { parseFile, type Place } from './document.ts';
import { endingProblems } from './ends.ts';
import { type ConfigIssue, type ConfigRule, keyOf, type Path, type Problem } from './issues.ts';
import { decodeText, maxConfigFileBytes, readRegularFile, type FileRead, type TextRead } from './files.ts';
import { expandReferences, pathId, type ReferenceSources } from './references.ts';
import { proxyProblems, readEnvironmentProxy, usesEnvironment } from './proxy-environment.ts';
import { databaseUrl, outboxPemPlaces } from './outbox.ts';
import { redisPemPlaces } from './redis.ts';
import { checkRules } from './rules.ts';
import { showUnless, validate, valueAt } from './validate.ts';
import { redisUrl } from './values.ts';
import { webhookPemPlaces } from './webhooks.ts';

export interface LoadOptions {
  /** The value of `--config`. Default: POSTLANE_CONFIG, otherwise `postlane.yaml`. */
  readonly file?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Base of a relative path of the configuration file. Relative references start at the directory of that file. */
  readonly cwd: string;
  /** Reads the file at an absolute path. Default: regular files of at most 1 MiB. */
  readonly readFile?: (path: string) => Promise<FileRead>;
  /** ms since the epoch, for what ends soon. Default: the time. */
  readonly now?: number;
}

/** `files`: absolute paths of the configuration and of every file that it references, missing ones included. */
export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly ConfigIssue[];
      readonly file: string;
      readonly files: readonly string[];
    }
  | {
      readonly ok: false;
      readonly issues: readonly ConfigIssue[];
      readonly warnings: readonly ConfigIssue[];
      readonly file: string;
      readonly files: readonly string[];
    };

/** Never rejects. `file` is the path as given; issues are in the order of the file. */
export async function loadConfig(options: LoadOptions): Promise<LoadResult> {
  const { file: given, env, cwd, readFile = readBounded, now = Date.now() } = options;
  // `POSTLANE_CONFIG=` in an env file gives an empty variable, which names no file.
  const file = given ?? (env['POSTLANE_CONFIG'] || 'postlane.yaml');
  const path = resolve(cwd, file);
  const failed = (issues: readonly ConfigIssue[], files: readonly string[] = [path]): LoadResult => ({
    ok: false,
    issues,
    warnings: [],
    file,
    files,
  });

  const readText = async (path: string): Promise<TextRead> => {
    const read = await readFile(path);
    return read.ok ? decodeText(read.bytes) : read;
  };
  const read = await readText(path);
  if (!read.ok) {
    const message = `cannot be read (${read.problem}); pass its path with --config FILE or POSTLANE_CONFIG`;
    return failed([{ key: '', rule: 'file-unreadable', message, file, line: 0, column: 0 }]);
  }

  const parsed = parseFile(read.text);
  const locate = (problem: Problem & { readonly place?: Place }): ConfigIssue => ({
    key: keyOf(problem.path),
    rule: problem.rule,
    message: problem.message,
    file,
    ...(problem.place ?? parsed.locate(problem.path, problem.on)),
  });
  const { data } = parsed;
  if (data === undefined) return failed(listed(parsed.problems.map(locate)));

  const redis = urlOf(env, 'REDIS_URL', redisUrl, 'redis.url');
  const database = urlOf(env, 'POSTLANE_DATABASE_URL', databaseUrl, 'outbox.url');
  // Removed before references are resolved, so that a missing one does not matter.
  if (redis.url !== null && isMap(data['redis'])) {
    for (const key of ['url', 'cluster', 'sentinel', 'db']) delete data['redis'][key];
  }
  if (database.url !== null && isMap(data['outbox'])) delete data['outbox']['url'];
  const sources = { env, directory: dirname(path), readText };
  const expansion = await expandReferences(data, sources);
  const certificates = await readCertificates(data, sources);
  const files = [...new Set([path, ...expansion.files, ...certificates.files])];
  if (!('redis' in data)) data['redis'] = {};
  if (redis.url !== null && isMap(data['redis'])) data['redis']['url'] = redis.url;
  if (database.url !== null && !('outbox' in data)) data['outbox'] = {};
  if (database.url !== null && isMap(data['outbox'])) data['outbox']['url'] = database.url;

  const show = showUnless(expansion.referring);
  const validation = validate(data, expansion.whole, show);
  const rules = checkRules(data, show, (at) => parsed.locate(at, 'value').line);

  const environment = usesEnvironment(data) ? readEnvironmentProxy(env) : { route: null, issues: [] };

  // A missing value breaks further rules; only its own absence is reported.
  const sure = [...parsed.problems, ...expansion.problems, ...certificates.problems];
  const known = new Set(sure.filter(({ on }) => on === 'value').map((problem) => pathId(problem.path)));
  const rest = [...validation.problems, ...rules.errors, ...proxyProblems(data, environment.route)].filter(
    (problem) => !known.has(pathId(problem.path)),
  );
  const issues = [
    ...redis.issues,
    ...environment.issues,
    ...database.issues,
    ...listed([...sure, ...rest].map(locate)),
  ];
  const warned = rules.warnings.map(locate);
  if (issues.length > 0 || validation.file === undefined) {
    return { ok: false, issues, warnings: listed(warned), file, files };
  }
  const config = buildConfig(validation.file, environment.route);
  const warnings = listed([...warned, ...endingProblems(config, now).map(locate)]);
  return { ok: true, config, warnings, file, files };
}

function readBounded(path: string): Promise<FileRead> {
  return readRegularFile(path, maxConfigFileBytes);
}

/** Places within a connector where a path may stand for PEM text. */
const pemPlaces: readonly Path[] = [
  ['smtp', 'tls', 'ca'],
  ['smtp', 'dkim', 'key'],
  ['graph', 'tls', 'ca'],
  ['graph', 'credential', 'certificate'],
  ['smtp', 'auth', 'oauth2', 'credential', 'certificate'],
  ['smtp', 'auth', 'oauth2', 'ca'],
  ['incoming', 'tls', 'ca'],
  ['incoming', 'oauth2', 'credential', 'certificate'],
  ['incoming', 'oauth2', 'ca'],
];

/** The same within `tls` of a listener. */
const listenerPemPlaces = ['cert', 'key', 'clientCa'] as const;

/** Replaces paths of PEM files with their text, in place. */
async function readCertificates(
  data: Record<string, unknown>,
  { directory, readText }: ReferenceSources,
): Promise<{ problems: Problem[]; files: string[] }> {
  const problems: Problem[] = [];
  const files: string[] = [];
  const ids = Object.keys(Object(data['connectors']) as object);
  const listeners = valueAt(data, ['submission', 'listeners']);
  const places = [
    ...ids.flatMap((id) => pemPlaces.map((place): Path => ['connectors', id, ...place])),
    ...(Array.isArray(listeners) ? listeners : []).flatMap((_, at) =>
      listenerPemPlaces.map((key): Path => ['submission', 'listeners', at, 'tls', key]),
    ),
  ];
  const hooks = webhookPemPlaces(data['webhooks']);
  for (const path of [...redisPemPlaces, ...apiPemPlaces, ...outboxPemPlaces, ...hooks, ...places]) {
    const written = valueAt(data, path);
    if (typeof written !== 'string' || !/^[^\n]+\.(?:pem|crt|key)$/.test(written)) continue;
    const file = resolve(directory, written);
    files.push(file);
    const holder = valueAt(data, path.slice(0, -1)) as Record<string, unknown>;
    const key = String(path.at(-1));
    const read = await readText(file);
    holder[key] = read.ok ? read.text : null;
    if (read.ok) continue;
    const message = `refers to a file that cannot be read (${read.problem})`;
    problems.push({ path, rule: 'missing-file', message, on: 'value' });
  }
  return { problems, files };
}

/** An environment variable that overrides the file; a mistake in it has no place in the file. */
function urlOf(
  env: LoadOptions['env'],
  name: string,
  schema: ZodType<unknown, string>,
  key: string,
): { readonly url: string | null; readonly issues: readonly ConfigIssue[] } {
  const url = env[name];
  if (url === undefined || url === '') return { url: null, issues: [] };
  const parsed = schema.safeParse(url);
  if (parsed.success) return { url, issues: [] };
  const message = parsed.error.issues[0]?.message ?? 'must be a URL';
  const rule: ConfigRule = key === 'redis.url' ? 'url' : 'database-url';
  return { url: null, issues: [{ key, rule, message, file: name, line: 0, column: 0 }] };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** More than this is a file of another kind, and would fill the log. */
const maxListed = 1_000;

/** In the order of the file. */
function listed(issues: readonly ConfigIssue[]): ConfigIssue[] {
  const inOrder = [...issues].sort((a, b) => a.line - b.line || a.column - b.column);
  const rest = inOrder[maxListed];
  if (rest === undefined) return inOrder;
  const message = `${inOrder.length - maxListed} more are not listed; correct these first`;
  return [...inOrder.slice(0, maxListed), { ...rest, key: '', rule: 'too-many-mistakes', message }];
}
