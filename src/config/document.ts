/** Parses the YAML file into plain data, with the place of every key and value, and every mistake of form. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type YAMLError } from 'yaml';
import type { ConfigRule, Path, Problem } from './issues.ts';
import { structureProblem } from './yaml-guard.ts';

export interface Place {
  readonly line: number;
  readonly column: number;
}

/** `data` is undefined if the file cannot be parsed. Maps have no prototype. */
export interface ParsedFile {
  readonly data: Record<string, unknown> | undefined;
  readonly problems: readonly (Problem & { readonly place?: Place })[];
  /** The place of a key or value; for a missing one, that of the nearest enclosing value. */
  locate(path: Path, on: Problem['on']): Place;
}

/** The configuration is five levels deep; only a cycle or an attack is deeper than this. */
const maxDepth = 32;
/** Nodes that aliases may add: enough for 10,000 connectors that share a block, far below a "billion laughs". */
const maxAliasedNodes = 100_000;
/** One syntax error causes others after it; more than these do not help. */
const maxSyntaxErrors = 5;

export function parseFile(text: string): ParsedFile {
  const lines = new LineCounter();
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const broken = (rule: ConfigRule, message: string, offset: number): Problem & { place: Place } => ({
    path: [],
    rule,
    message,
    on: 'value',
    place: placeOf(offset),
  });
  const stop = (problems: ParsedFile['problems']): ParsedFile => ({
    data: undefined,
    problems,
    locate: () => ({ line: 1, column: 1 }),
  });

  const refused = structureProblem(text);
  if (refused !== null) {
    // Lines are counted by the parser, which does not run.
    const line = text.slice(0, refused.offset).split('\n').length;
    const place = { line, column: 1 };
    return stop([{ ...broken(refused.rule, `the file ${refused.problem}`, 0), place }]);
  }

  let document: Document.Parsed;
  try {
    // The reader below finds duplicate keys, as it knows their path. `prettyErrors` would quote lines of the file.
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
    });
  } catch {
    // The parser recurses: a few thousand open brackets exhaust the stack.
    return stop([broken('yaml-syntax', 'the file is nested too deeply', 0)]);
  }
  const errors = [...document.errors, ...document.warnings].map(({ code, pos: [offset] }) =>
    broken(code === 'MULTIPLE_DOCS' ? 'yaml-document' : 'yaml-syntax', syntaxText(code), offset),
  );
  // A second error at the same place is a consequence of the first.
  const byPlace = new Map(
    errors.toReversed().map((error) => [placeKey([error.place.line, error.place.column]), error]),
  );
  if (errors.length > 0) return stop([...byPlace.values()].toReversed().slice(0, maxSyntaxErrors));
  if (!isMap(document.contents)) {
    const is = document.contents === null || isNull(document.contents) ? 'is empty' : 'is not a map';
    const message = `the file ${is}; it must contain keys such as "hostname: mail.example.com"`;
    return stop([broken('yaml-document', message, document.contents?.range[0] ?? 0)]);
  }
  return readTree(document.contents, placeOf);
}

function readTree(root: unknown, placeOf: (offset: number) => Place): ParsedFile {
  const problems: Problem[] = [];
  const places = new Map<string, { key: Place; value: Place }>();
  const anchors = new Map<string, unknown>();
  let aliasedNodes = 0;
  let exhausted = false;

  const fail = (path: Path, rule: ConfigRule, message: string, on: Problem['on'] = 'value') => {
    problems.push({ path, rule, message, on });
    return null;
  };
  const read = (node: unknown, path: Path, depth: number, inAlias: boolean): unknown => {
    if (inAlias) aliasedNodes += 1;
    if (exhausted) return null;
    if (depth > maxDepth || aliasedNodes > maxAliasedNodes) {
      exhausted = true;
      return fail(path, 'yaml-alias', 'the aliases nest or multiply without limit; write the values out');
    }
    if (isAlias(node)) {
      // The name after * may be the start of an unquoted password, so the message does not repeat it.
      if (!anchors.has(node.source)) {
        return fail(path, 'yaml-alias', 'refers to an anchor that is not defined above; quote text that begins with *');
      }
      return read(anchors.get(node.source), path, depth + 1, true);
    }
    if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) anchors.set(node.anchor, node);
    if (isMap(node)) return readMap(node.items, path, depth, inAlias);
    if (isSeq(node)) return node.items.map((item, at) => readItem(item, null, [...path, at], depth, inAlias));
    return isScalar(node) ? node.value : null;
  };
  const readItem = (node: unknown, key: unknown, path: Path, depth: number, inAlias: boolean): unknown => {
    const value = place(node) ?? place(key);
    if (value !== null) places.set(placeKey(path), { key: place(key) ?? value, value });
    return read(node, path, depth + 1, inAlias);
  };
  const readMap = (
    items: readonly { key: unknown; value: unknown }[],
    path: Path,
    depth: number,
    inAlias: boolean,
  ): Record<string, unknown> => {
    // Without a prototype, `__proto__` and `constructor` are ordinary keys.
    const map = Object.create(null) as Record<string, unknown>;
    for (const { key, value } of items) {
      if (!isScalar(key)) {
        fail(path, 'unknown-key', 'has a key that is not plain text; quote values that begin with { or [');
        continue;
      }
      const name = String(key.value);
      const here = [...path, name];
      if (name in map) {
        const first = places.get(placeKey(here))?.key.line;
        places.set(placeKey(here), { key: place(key)!, value: place(key)! });
        fail(here, 'duplicate-key', `occurs twice in this map, first on line ${first}; remove one`, 'key');
        continue;
      }
      map[name] = readItem(value, key, here, depth, inAlias);
    }
    return map;
  };
  const place = (node: unknown): Place | null => {
    const range = isMap(node) || isSeq(node) || isScalar(node) || isAlias(node) ? node.range : undefined;
    return range === undefined || range === null ? null : placeOf(range[0]);
  };

  const rootPlace = place(root) ?? { line: 1, column: 1 };
  places.set('', { key: rootPlace, value: rootPlace });
  const data = read(root, [], 0, false) as Record<string, unknown>;
  return {
    data: exhausted ? undefined : data,
    problems,
    locate: (path, on) => {
      const exact = places.get(placeKey(path));
      if (exact !== undefined) return exact[on];
      for (let length = path.length - 1; length > 0; length -= 1) {
        const around = places.get(placeKey(path.slice(0, length)));
        if (around !== undefined) return around.key;
      }
      return rootPlace;
    },
  };
}

function placeKey(path: Path): string {
  return path.join('\u0000');
}

function isNull(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

const misindented = 'is indented in a way that YAML cannot read; start all keys of one map in the same column';

/** Our own texts: those of the parser may quote a part of the file, which may be a secret. */
const syntaxTexts: Partial<Readonly<Record<YAMLError['code'], string>>> = {
  TAB_AS_INDENT: 'is indented with a tab; use spaces',
  BAD_INDENT: misindented,
  BLOCK_IN_FLOW: misindented,
  BLOCK_AS_IMPLICIT_KEY: misindented,
  MULTILINE_IMPLICIT_KEY: misindented,
  MULTIPLE_DOCS: 'contains several documents; remove the line "---" that starts the second',
  BAD_DQ_ESCAPE: 'has a backslash that has no meaning in double quotes; use single quotes',
  TAG_RESOLVE_FAILED: 'has a value that begins with !, which YAML reads as a tag; put it in quotes',
  BAD_SCALAR_START: 'has a value that begins with a reserved character (@ or `); put it in quotes',
  MISSING_CHAR:
    'lacks a closing quote, bracket, comma or colon; put values that contain any of { } [ ] , # : in quotes',
  RESOURCE_EXHAUSTION: 'is nested too deeply',
};

function syntaxText(code: YAMLError['code']): string {
  const otherwise = `is not valid YAML from here on (${code}); put values that contain any of { } [ ] , # : & * ! in quotes`;
  return syntaxTexts[code] ?? otherwise;
}
