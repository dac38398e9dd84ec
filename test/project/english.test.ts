/** Holds the form of what people read: plain quotation marks, the terms of the glossary, and one sentence per line in Markdown. */
import { describe, expect, test } from 'vitest';
import { filesUnder, textOf } from '../support/source.ts';

const texts = filesUnder('.').filter((path) => /\.(?:md|ts|mjs|json|ya?ml|acl)$|^(?:Dockerfile|\.ci\/run)$/.test(path));
/** Not those that a program generates or that have another author. */
const documents = texts.filter(
  (path) => path.endsWith('.md') && !/^(?:docs\/typescript|CODE_OF_CONDUCT)\.md$/.test(path),
);

/** Lines of prose: no code, tables, headings, comments. */
function proseOf(text: string): string[] {
  let code = false;
  return text.split('\n').map((line) => {
    const isFence = /^\s*```/.test(line);
    if (isFence) code = !code;
    const other = code || isFence || /^\s*(?:\||#|<)/.test(line);
    return other ? '' : line;
  });
}

/** Lines that end within a sentence, because the next line goes on. */
function brokenLines(text: string): string[] {
  const lines = proseOf(text);
  return lines.filter((line, at) => {
    const next = lines[at + 1]?.trim() ?? '';
    const goesOn = next !== '' && !/^(?:[-*]|\d+\.) /.test(next);
    return line.trim() !== '' && goesOn && !/[.:!?][)"`*]*$/.test(line.trim());
  });
}

/** Lines with more than one sentence, but for short ones in a list or in brackets. */
function crowdedLines(text: string): string[] {
  return proseOf(text).filter((line) => {
    if (/^\s*(?:[-*]|\d+\.) /.test(line)) return false;
    const plain = line.replace(/`[^`]*`|\([^)]*\)|"[^"]*"/g, 'x');
    return /[a-zx)][.!?] (?=[A-Z])/.test(plain);
  });
}

/**
 * Words for which there is a plain one: no recipient, an operator, to repair, to count (an attempt), to dead-letter.
 * The Unix user `nobody` is a value (`uid=nobody`).
 */
function replacedWords(text: string): string[] {
  const words =
    /(?<!= ?)\b(?:nobody|somebody|anybody|everybody|whoever|mend(?:s|ed)?|burn(?:s|ed)?|bur(?:y|ies|ied))\b/gi;
  return text.match(words) ?? [];
}

describe('texts', () => {
  test('have plain quotation marks, no guillemets', () => {
    expect(texts.filter((path) => /[\u00ab\u00bb]/.test(textOf(path)))).toEqual([]);
  });

  test('name who is meant, and use the terms of the glossary instead of those that it replaced', () => {
    const written = texts.filter((path) => !/^(?:test|schema)\//.test(path) && path !== 'package-lock.json');
    expect(written.flatMap((path) => replacedWords(textOf(path)).map((word) => `${path}: ${word}`))).toEqual([]);
  });

  test('a replaced word is detected, also as a part of a sentence or of a table', () => {
    expect(replacedWords('Nobody mends it, | and no attempt is burned. |')).toEqual(['Nobody', 'mends', 'burned']);
    expect(replacedWords('recommend, amended, sideburns, a body, uid=nobody, exim_user = nobody')).toEqual([]);
  });
});

describe('documents', () => {
  test.each(documents)('%s has one sentence per line', (path) => {
    const text = textOf(path);
    expect([...brokenLines(text), ...crowdedLines(text)]).toEqual([]);
  });

  test('a sentence over two lines and two sentences in a line are detected', () => {
    expect(brokenLines('This goes\non here.')).toEqual(['This goes']);
    expect(crowdedLines('One. Two.')).toEqual(['One. Two.']);
    expect(brokenLines('One:\n- two\n\n| a b\nc |')).toEqual([]);
  });
});
