/** Holds the form of what people read: plain quotation marks everywhere, and one sentence per line in Markdown. */
import { describe, expect, test } from 'vitest';
import { filesUnder, textOf } from '../support/source.ts';

const texts = filesUnder('.').filter((path) => /\.(?:md|ts|mjs|json|ya?ml|acl|Dockerfile)$/.test(path));
/** Not those that a program generates or that have another author. */
const documents = texts.filter((path) => path.endsWith('.md') && !/^(?:docs\/api|CODE_OF_CONDUCT)\.md$/.test(path));

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

describe('texts', () => {
  test('have plain quotation marks, no guillemets', () => {
    const found = texts.filter(
      (path) => path !== 'test/project/english.test.ts' && /[\u00ab\u00bb]/.test(textOf(path)),
    );
    expect(found).toEqual([]);
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
