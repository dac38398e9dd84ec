/** Owns the check of a repository, given as paths and texts, against the rules of the architecture. */
import { folders, maxFileLines, maxFunctionLines, rooms, unpackaged } from './architecture-rules.ts';
import { packages } from './package-rules.ts';
import { computedTarget, functionsOf, importsOf } from './parse.ts';
import type { Import } from './parse.ts';

/** Path relative to the root → text. */
export type Files = ReadonlyMap<string, string>;

interface Arrow extends Import {
  readonly path: string;
}

/** Every violation as one sentence that names the file; [] if the code keeps all rules. */
export function violationsOf(files: Files): string[] {
  const arrows = [...files].flatMap(([path, text]) => importsOf(path, text).map((found) => ({ path, ...found })));
  const found = [
    ...[...files.keys()].flatMap(unknownPlace),
    ...arrows.flatMap((arrow) => arrowViolation(arrow) ?? []),
    ...circlesOf(files, arrows),
    ...[...files].flatMap(([path, text]) => lengthViolations(path, text)),
  ];
  return [...new Set(found)];
}

/** `src/queue/jobs.ts` → `queue`, `src/errors.ts` → `errors.ts`; null outside of src. */
function roomOf(path: string): string | null {
  const [folder, room] = path.split('/');
  return folder === 'src' ? (room ?? null) : null;
}

/** The wing of a path in its room, or null if the room has none for it. */
function wingOf(path: string): string | null {
  const [, room = '', wing = '', ...rest] = path.split('/');
  const named = rooms[room]?.floors?.flat() ?? [];
  if (named.includes(wing)) return wing;
  return rest.length === 0 && named.includes('*') ? '*' : null;
}

function unknownPlace(path: string): string[] {
  const room = roomOf(path);
  if (room === null) return [];
  if (rooms[room] === undefined) return [`${path} is in the unknown room ${room}`];
  if (rooms[room].floors !== undefined && wingOf(path) === null) return [`${path} is in no wing of ${room}`];
  return [];
}

function arrowViolation(arrow: Arrow): string | null {
  const { path, target, ours } = arrow;
  const fails = (reason: string) => `${path} imports ${target}: ${reason}`;
  if (unpackaged.test(path) && !target.startsWith('node:') && !unpackaged.test(target))
    return fails('it runs before the packages are installed');
  if (target === computedTarget) return path.startsWith('test/') ? null : fails('no rule can judge it');
  if (!ours) return packageAllowed(arrow) ? null : fails('its package is not open to it');
  if (target.endsWith('.test.ts')) return fails('a test is no module');
  const folder = path.split('/')[0] ?? '';
  const inFolder = [folder, ...(folders[folder] ?? [])].some(
    (open) => target === open || target.startsWith(`${open}/`),
  );
  if (!inFolder) return fails(`${folder} does not import from there`);
  const [from, to] = [roomOf(path), roomOf(target)];
  if (from === null || to === null) return null;
  if (from === to) return floorsAllow(from, path, target) ? null : fails(`${from} has no such arrow inside`);
  const room = rooms[from];
  if (arrow.typeOnly && room?.types?.includes(target)) return null;
  if (to !== 'errors.ts' && !room?.imports.includes(to)) return fails(`${from} does not import ${to}`);
  return isDoor(to, target) ? null : fails(`it is no front door of ${to}`);
}

function packageAllowed({ path, target, typeOnly }: Arrow): boolean {
  if (target.startsWith('node:') || !path.startsWith('src/')) return true;
  const { values = [], types = [] } = packages[target] ?? {};
  return [...values, ...(typeOnly ? types : [])].some((open) => path.startsWith(open));
}

function floorsAllow(room: string, path: string, target: string): boolean {
  const floors = rooms[room]?.floors;
  const [from, to] = [wingOf(path), wingOf(target)];
  // A place that no floor has is reported as such.
  if (floors === undefined || from === null || to === null || from === to) return true;
  const floorOf = (wing: string) => floors.findIndex((floor) => floor.includes(wing));
  return floorOf(from) < floorOf(to);
}

function isDoor(room: string, path: string): boolean {
  const { doors = [`${room}.ts`] } = rooms[room] ?? {};
  // A room that is one file is its own door.
  return path === `src/${room}` || doors.includes('*') || doors.some((door) => path === `src/${room}/${door}`);
}

/**
 * The circles of imports, types included: one line for each set of files that all reach each other. Lint sees circles of
 * values only; a circle of types means that the shared type stands in the wrong file.
 */
function circlesOf(files: Files, arrows: readonly Arrow[]): string[] {
  const below = Map.groupBy(
    arrows.filter(({ target }) => files.has(target)),
    ({ path }) => path,
  );
  const reach = new Map([...files.keys()].map((path) => [path, reachable(path)]));
  const circles = [...reach]
    .map(([path, reached]) => [...reached].filter((other) => reach.get(other)?.has(path)).toSorted())
    .filter((members) => members.length > 0)
    .map((members) => `${members.join(', ')} import each other in a circle`);
  return [...new Set(circles)];

  /** The files that `start` imports, directly or not; itself only if there is a circle. */
  function reachable(start: string): ReadonlySet<string> {
    const reached = new Set<string>();
    const open = [start];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      for (const { target } of below.get(path) ?? []) {
        if (reached.has(target)) continue;
        reached.add(target);
        open.push(target);
      }
    }
    return reached;
  }
}

function lengthViolations(path: string, text: string): string[] {
  // Tests are tables of cases; what they share is code.
  if (path.endsWith('.test.ts')) return [];
  const lines = text.trimEnd().split('\n').length;
  const longFile = lines > maxFileLines ? [`${path} has more than ${maxFileLines} lines`] : [];
  if (!path.startsWith('src/')) return longFile;
  const long = functionsOf(path, text).filter((found) => found.lines > maxFunctionLines);
  return [...longFile, ...long.map(({ name }) => `${path}: ${name} has more than ${maxFunctionLines} lines`)];
}

/**
 * What the tree in CONTRIBUTING.md and the folders of the disk do not have in common. A folder of test that mirrors another
 * one needs no line.
 */
export function treeDifferences(contributing: string, paths: readonly string[]): string[] {
  const tree = /^## The tree\n+```\n([\s\S]*?)^```/m.exec(contributing)?.[1] ?? '';
  const listed = [...tree.matchAll(/^([\w./-]+)\/ +\S/gm)].map(([, folder = '']) => folder);
  const folders = new Set(paths.flatMap(foldersOf));
  const mirrored = (folder: string): boolean => {
    const [, inner] = /^test\/(.+)$/.exec(folder) ?? [];
    return inner !== undefined && (folders.has(`src/${inner}`) || folders.has(inner));
  };
  const unlisted = [...folders].filter((folder) => !listed.includes(folder) && !mirrored(folder));
  return [
    ...listed.filter((folder) => !folders.has(folder)).map((folder) => `${folder} is listed and does not exist`),
    ...unlisted.map((folder) => `${folder} exists and is not listed`),
  ];
}

/** `a/b/c.ts` → `a`, `a/b`. */
function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}
