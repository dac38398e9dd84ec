/** Holds the shape of the code: who imports whom, and what every file looks like. The reason stands beside each rule. */
import { describe, expect, test } from 'vitest';
import { filesUnder, importsOf, textOf } from '../support/source.ts';
import type { Import } from '../support/source.ts';

/**
 * Room → the rooms it may import. errors.ts is open to all. Arrows go one way, so that each room can be understood, and
 * tested, with what is below it alone.
 */
const arrows: Readonly<Record<string, readonly string[]>> = {
  // What a mail is depends on nobody who moves it.
  message: [],
  // Races, waits and limits of promises: used everywhere, so it knows nothing.
  async: [],
  // Routing knows ids and addresses, not sockets or Redis: it stays pure and answers in microseconds.
  routing: ['message'],
  // A transport knows sockets, not queues: the CLI's `check` and a library user can use one without Redis.
  transport: ['message', 'async'],
  // The wire knows neither connectors nor protocols: producers load it, and must not load SMTP with it.
  queue: ['message', 'async'],
  // Applications embed the producer: it knows messages and Redis, and never which connector will send.
  producer: ['queue', 'message', 'async'],
  worker: ['queue', 'routing', 'transport', 'message', 'async'],
  // Rooms own their settings, the configuration composes them; so no room may need the configuration back.
  config: ['routing', 'transport', 'message'],
  admin: ['queue', 'routing', 'transport', 'message'],
  observability: ['message'],
  // The composition root: the one place that knows all.
  cli: ['config', 'worker', 'producer', 'admin', 'observability', 'queue', 'routing', 'transport', 'message', 'async'],
  // The public surface: what an application or a transport's author needs, nothing of the worker.
  index: ['producer', 'message'],
  // Doubles and the contract suite: for tests of applications and of transports.
  testing: ['producer', 'message', 'transport'],
};

/** Room → rooms whose types (not values) it may import. Logs and metrics subscribe to the worker's events. */
const typeArrows: Readonly<Record<string, readonly string[]>> = { observability: ['worker'] };

/** Package → the rooms that may import it. A package that is not listed is open to no room: adding one is a decision. */
const packages: Readonly<Record<string, readonly string[]>> = {
  // A queue library is replaced, or upgraded, where it is used; the fewer rooms, the better.
  bullmq: ['queue', 'producer', 'worker'],
  // Connections are made in one room, with one set of reasons for their options.
  ioredis: ['queue'],
  // MIME in, SMTP out; nobody else handles mail's bytes.
  nodemailer: ['message', 'transport'],
  // Tokens and Graph are for the transport, in one file each.
  '@azure/identity': ['transport'],
  '@microsoft/microsoft-graph-client': ['transport'],
  // Schemas are where foreign data comes in: messages, the wire, and the configuration file.
  zod: ['message', 'queue', 'transport', 'config'],
  yaml: ['config'],
  // Rooms report events; only the subscriber of the events, and its maker, know the logger.
  pino: ['observability', 'cli'],
  commander: ['cli'],
};

/** Rooms that may import a package's types only: they are handed a connection, and never make one. */
const packageTypes: Readonly<Record<string, readonly string[]>> = {
  ioredis: ['producer', 'worker', 'admin'],
  bullmq: ['admin'],
};

const sources = filesUnder('src').filter((path) => path.endsWith('.ts'));
const tooling = ['tools', 'testkit', 'examples', 'test/support']
  .flatMap(filesUnder)
  .filter((path) => /\.(ts|mjs)$/.test(path));
const tests = filesUnder('test').filter((path) => path.endsWith('.test.ts'));

/** `src/queue/jobs.ts` → `queue`, `src/errors.ts` → `errors`. */
function roomOf(path: string): string {
  return path.split('/')[1]?.replace(/\.ts$/, '') ?? '';
}

describe('arrows', () => {
  test('every room is known', () => {
    const unknown = sources.filter((path) => roomOf(path) !== 'errors' && arrows[roomOf(path)] === undefined);
    expect(unknown).toEqual([]);
  });

  test('every room imports only rooms below it', () => {
    expect(
      offences(({ target, ours, typeOnly }, room) => {
        if (!ours) return false;
        const allowed = [room, 'errors', ...(arrows[room] ?? []), ...(typeOnly ? (typeArrows[room] ?? []) : [])];
        return !target.startsWith('src/') || !allowed.includes(roomOf(target));
      }),
    ).toEqual([]);
  });

  test('every room imports only its own packages', () => {
    expect(
      offences(({ target, ours, typeOnly }, room) => {
        if (ours || target.startsWith('node:')) return false;
        return ![...(packages[target] ?? []), ...(typeOnly ? (packageTypes[target] ?? []) : [])].includes(room);
      }),
    ).toEqual([]);
  });

  function offences(isWrong: (imported: Import, room: string) => boolean): string[] {
    return sources.flatMap((path) =>
      importsOf(path, textOf(path))
        .filter((imported) => isWrong(imported, roomOf(path)))
        .map(({ target }) => `${path} imports ${target}`),
    );
  }

  test('sees every form of import', () => {
    const text = [
      "import { a } from 'bullmq';",
      "import type { B } from '../worker/events.ts';",
      'import {\n  c,\n  type D,\n} from "x";'.replaceAll('"', "'"),
      "export { e } from './e.ts';",
      "import 'side/effect.js';",
      "  const f = await import('@scope/f/g.js');",
      "import net, { type Socket } from 'node:net';",
    ].join('\n');
    expect(importsOf('src/queue/here.ts', text)).toEqual([
      { target: 'bullmq', ours: false, typeOnly: false },
      { target: 'src/worker/events.ts', ours: true, typeOnly: true },
      { target: 'x', ours: false, typeOnly: false },
      { target: 'src/queue/e.ts', ours: true, typeOnly: false },
      { target: 'side', ours: false, typeOnly: false },
      { target: '@scope/f', ours: false, typeOnly: false },
      { target: 'node:net', ours: false, typeOnly: false },
    ]);
  });
});

describe('files', () => {
  // A reader opens a file to learn what it owns; the first sentence says so.
  test('every file starts with a sentence on what it owns', () => {
    const silent = [...sources, ...tooling, ...tests].filter((path) => !/^(#!.*\n)?\/\*\*/.test(textOf(path)));
    expect(silent).toEqual([]);
  });

  // A long file hides several things in one. Tables of test cases may be longer.
  test('no file is longer than 300 lines', () => {
    const lengths = [...sources, ...tooling].map((path) => ({
      path,
      lines: textOf(path).trimEnd().split('\n').length,
    }));
    for (const { path, lines } of lengths)
      if (lines > 250) console.warn(`${path} has ${lines} lines: think of splitting it`);
    expect(lengths.filter(({ lines }) => lines > 300)).toEqual([]);
  });

  // Importing a module must be free of effects: whoever embeds the producer must not get a timer, a connection, or the
  // environment's opinion with it. The CLI's main is a program, not a module.
  test('no module does work when it is imported', () => {
    const modules = sources.filter((path) => path !== 'src/cli/main.ts');
    const working = modules.flatMap((path) => workAtImport(textOf(path)).map((line) => `${path}: ${line}`));
    expect(working).toEqual([]);
  });

  test('sees work at import', () => {
    const text = [
      'await start();',
      'export const client = await connect();',
      'const level = process.env.LEVEL;',
      'setInterval(tick, 1000);',
      'let count = 0;',
      'export async function start() {',
      '  await run(process.env.LEVEL);',
      '}',
      '/** let me say that await is fine in comments */',
      'const pattern = new Map([',
      "  ['a', 1],",
      ']);',
      'const script = `',
      "redis.call('DEL', KEYS[1])",
      '`;',
    ].join('\n');
    expect(workAtImport(text)).toHaveLength(5);
  });

  /** Top-level lines that await, read the environment, call for the effect, or declare a variable (formatting puts them in column one). */
  function workAtImport(text: string): string[] {
    // Without comments and strings: a script in another language within a template is not our code.
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, "''");
    const topLevel = code.split('\n').filter((line) => /^[A-Za-z_$]/.test(line));
    return topLevel.filter(
      (line) =>
        /^await\b|^(export )?(const|let)\b.*=\s*await\b/.test(line) ||
        (/\bprocess\.env\b/.test(line) && !/^(export )?(async )?function\b/.test(line)) ||
        /^(?!function\b|if\b|for\b|switch\b|import\b)[\w$.]+\(/.test(line) ||
        /^(export )?let\b/.test(line),
    );
  }

  // A clone has to stand alone: what lies beside somebody's work tree is not there for anybody else.
  test('nothing refers to files outside of the repository', () => {
    // The brackets keep this line from matching itself.
    const outside = /\.\.\/share[d]\b|\/wor[k]\/(main|shared)\b|\bdesig[n] \d\.\d/;
    const text = filesUnder('.').filter((path) => !/^package-lock\.json$|\.(eml|png|pem|bin)$/.test(path));
    expect(text.filter((path) => outside.test(textOf(path)))).toEqual([]);
  });
});
