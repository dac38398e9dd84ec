/**
 * Regular expressions that an operator writes for the text of a reply, which a hostile server may write: compiled only if no
 * text can make them slow.
 *
 * JavaScript's engine backtracks, so `(a+)+$` takes years over forty letters. The number of ways in which the parts of a
 * pattern can match bounds its steps from above: each open quantifier has as many as the text has characters, `{n,m}` has
 * m-n+1, and each `?` and each `|` doubles them. Their product is held below a limit. That is sound only if quantifiers do
 * not nest, so `?` is the only quantifier that a group may have, and references and look-arounds are refused. The price: a
 * few harmless patterns are refused, too.
 */

/** The longest text that a pattern is applied to: replies are cut there. */
const textLength = 500;
const maxPatternLength = 200;
/** Two open quantifiers and one choice, or one and nine. From every start in the text, this takes some tenths of a second at worst. */
const maxWays = textLength * textLength * 2;

export interface TextPattern {
  readonly pattern: RegExp;
  /** Upper bound of the steps that a search in a text of so many characters takes. */
  readonly steps: (length: number) => number;
}

/** The pattern, or why it is refused: a sentence that begins with "must" or "has". */
export function readTextPattern(source: string): TextPattern | { readonly must: string } {
  if (source === '') return { must: 'must not be empty' };
  if (source.length > maxPatternLength) return { must: `must not be longer than ${maxPatternLength} characters` };
  let pattern: RegExp;
  try {
    pattern = new RegExp(source, 'i');
  } catch {
    return {
      must: 'must be a regular expression; put a backslash before each of . * + ? ( ) [ ] { } | that is meant literally',
    };
  }
  if (pattern.test('')) return { must: 'must not match an empty text, as it would match every reply' };
  const problem = slowness(source);
  return problem === null ? { pattern, steps: (length) => length * waysOf(source, length) } : { must: problem };
}

/** Why the pattern could take long, or null. */
function slowness(source: string): string | null {
  let afterGroup = false;
  let afterQuantifier = false;
  for (const token of tokensOf(source)) {
    const quantifier = quantifierOf(token, textLength);
    if (token === '?' && afterQuantifier) {
      // `a*?` changes only the order in which matches are tried.
      afterQuantifier = false;
      continue;
    }
    if (quantifier !== null && afterGroup && token !== '?') {
      return 'must not repeat a group: a hostile reply could make it run for ever; repeat single characters or classes';
    }
    if (/^\\[1-9k]/.test(token) || /^\(\?[^:]/.test(token)) {
      return 'must not have references, names or look-arounds: a hostile reply could make them run for ever';
    }
    afterGroup = token === ')';
    afterQuantifier = quantifier !== null;
  }
  return waysOf(source, textLength) > maxWays
    ? 'has too many of * + ? {} and |, so a hostile reply could make it slow'
    : null;
}

/** In how many ways the parts of the pattern can match a text of so many characters from one start. */
function waysOf(source: string, length: number): number {
  let ways = 1;
  let afterQuantifier = false;
  for (const token of tokensOf(source)) {
    const isLazy: boolean = token === '?' && afterQuantifier;
    const quantifier: number | null = isLazy ? null : quantifierOf(token, length);
    ways *= quantifier ?? (token === '|' ? 2 : 1);
    afterQuantifier = quantifier !== null;
  }
  return ways;
}

/** Escapes, classes, quantifiers with braces and openings of groups as one token each; everything else character by character. */
function tokensOf(source: string): readonly string[] {
  return source.match(/\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]|\{\d+(?:,\d*)?\}|\(\?<?[\s\S]|[\s\S]/g) ?? [];
}

/** In how many ways the quantifier can match; null for any other token. */
function quantifierOf(token: string, length: number): number | null {
  if (token === '*' || token === '+') return length;
  if (token === '?') return 2;
  const braces = /^\{(\d+)(,?)(\d*)\}$/.exec(token);
  if (braces === null) return null;
  const least = Number(braces[1]);
  if (braces[2] === '') return 1;
  return braces[3] === '' ? length : Math.max(1, Number(braces[3]) - least + 1);
}
