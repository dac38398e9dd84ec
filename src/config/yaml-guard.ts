/**
 * Refuses text that cannot be a configuration before the YAML parser reads it: for a megabyte of brackets, commas or tags the
 * parser takes seconds and a gigabyte, and a running worker would stand still.
 */
import { CST, Lexer } from 'yaml';
import type { ConfigRule } from './issues.ts';

/** The text is not read beyond `offset`. `problem` completes "the file …". */
export interface StructureProblem {
  readonly offset: number;
  readonly rule: ConfigRule;
  readonly problem: string;
}

/** Less text is parsed quickly whatever it is. */
const harmlessLength = 16 * 1024;
/** The configuration is five levels deep. */
const maxDepth = 32;
/** Indicators with no value between them, and values with no indicator between them. A configuration has fewer than ten. */
const maxRun = 64;
/** Keys and values: 1 MiB of connectors has fewer, and each costs the parser and the validation time and memory. */
const maxValues = 150_000;

const neutral: ReadonlySet<CST.TokenType | null> = new Set([
  'byte-order-mark',
  'doc-mode',
  'flow-error-end',
  'space',
  'newline',
  'comment',
]);
const values: ReadonlySet<CST.TokenType | null> = new Set([
  'scalar',
  'single-quoted-scalar',
  'double-quoted-scalar',
  'block-scalar-header',
]);

/** Tokens that the lexer adds: they are not in the text. The one of a plain scalar comes before its text. */
const marks: ReadonlySet<CST.TokenType | null> = new Set(['doc-mode', 'flow-error-end', 'scalar']);

/** null if the text may be parsed. Takes linear time, and ends at the first problem. */
export function structureProblem(text: string): StructureProblem | null {
  if (text.length <= harmlessLength) return null;
  let offset = 0;
  let depth = 0;
  let indicators = 0;
  let adjacent = 0;
  let count = 0;
  let textFollows = false;
  for (const source of new Lexer().lex(text)) {
    const type: CST.TokenType | null = textFollows ? null : CST.tokenType(source);
    textFollows = type === 'scalar';
    if (!marks.has(type)) offset += source.length;
    if (type === null || neutral.has(type)) continue;
    if (values.has(type)) {
      indicators = 0;
      adjacent += 1;
      count += 1;
    } else {
      indicators += 1;
      adjacent = 0;
    }
    if (type === 'flow-map-start' || type === 'flow-seq-start') depth += 1;
    if (type === 'flow-map-end' || type === 'flow-seq-end') depth = Math.max(0, depth - 1);
    if (depth > maxDepth) return { offset, rule: 'yaml-syntax', problem: 'is nested too deeply' };
    if (indicators > maxRun || adjacent > maxRun) {
      return { offset, rule: 'yaml-syntax', problem: 'is not a map of keys and values' };
    }
    if (count > maxValues) {
      return { offset, rule: 'too-many-values', problem: `has more than ${maxValues} keys and values` };
    }
  }
  return null;
}
