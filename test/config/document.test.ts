/** What is wrong with the form of the file: each readable, each at its line. */
import { describe, expect, test } from 'vitest';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const good = withConnector('direction: outgoing\nsmtp: { host: a.example }');

describe('the form of the file', () => {
  test.each([
    ['an empty file', '', 'yaml-document', 1],
    ['a file of comments', '# nothing\n', 'yaml-document', 1],
    ['a null', '~\n', 'yaml-document', 1],
    ['a list', '# one\n- a\n', 'yaml-document', 2],
    ['a text', 'hello\n', 'yaml-document', 1],
    ['a tab as indentation', 'redis:\n\turl: x\n', 'yaml-syntax', 2],
    ['a missing quote', 'hostname: "a\n', 'yaml-syntax', 2],
    ['a missing bracket', 'redis: { url: x\nhostname: a\n', 'yaml-syntax', 2],
    ['a wrong indentation', 'redis:\n    url: x\n  prefix: y\n', 'yaml-syntax', 3],
    ['a value of characters that YAML keeps', 'hostname: @a\n', 'yaml-syntax', 1],
    ['an unknown tag', 'hostname: !a b\n', 'yaml-syntax', 1],
  ])('%s is refused at its line', async (_case, text, rule, line) => {
    const result = await loadText(text);
    expect(result).toMatchObject({ ok: false });
    expect(!result.ok && result.issues[0]).toMatchObject({ rule, line });
  });

  test('several documents are refused', async () => {
    expect(await onlyIssue(`${good}---\n${good}`)).toMatchObject({ rule: 'yaml-document', line: 7 });
  });

  test('a duplicate key is refused at the second, and names the line of the first', async () => {
    const issue = await onlyIssue(`${good}hostname: other.example.com\n`);
    expect(issue).toMatchObject({ key: 'hostname', rule: 'duplicate-key', line: 7, column: 1 });
    expect(issue.message).toContain('line 1');
  });

  test('two connectors with one id are a duplicate key', async () => {
    const text = `${good}  c:\n    direction: incoming\n`;
    expect(await mistakes(text)).toEqual(['7 duplicate-key connectors.c']);
  });

  test('a key that is not text is refused', async () => {
    expect(await mistakes(`${good}? { a: b }\n: c\n`)).toEqual(['1 unknown-key ']);
  });

  test('a byte order mark and Windows line ends are read', async () => {
    expect((await goodConfig(`\uFEFF${good.replaceAll('\n', '\r\n')}`)).hostname).toBe('mail.example.com');
  });

  test('an alias shares a block', async () => {
    const text = withConnector('direction: outgoing\naddress: a@example.com\nsmtp: &relay { host: a.example }');
    const config = await goodConfig(
      `${text}  d:\n    direction: outgoing\n    address: d@example.com\n    smtp: *relay\n`,
    );
    expect(config.connectors[1]?.transport).toEqual(config.connectors[0]?.transport);
  });

  test('a mistake in a shared block is found for each that shares it', async () => {
    const text = withConnector(
      'direction: outgoing\naddress: a@example.com\nsmtp: &relay { host: a.example, port: 0 }',
    );
    expect(
      await mistakes(`${text}  d:\n    direction: outgoing\n    address: d@example.com\n    smtp: *relay\n`),
    ).toEqual(['7 port connectors.c.smtp.port', '7 port connectors.d.smtp.port']);
  });
});

describe('attacks by form', () => {
  test('aliases that multiply (billion laughs) are refused', async () => {
    const levels = Array.from({ length: 12 }, (_, at) => {
      const inner = at === 0 ? 'x' : Array.from({ length: 9 }, () => `*l${at - 1}`).join(', ');
      return `l${at}: &l${at} [${inner}]`;
    });
    expect(await onlyIssue(`${levels.join('\n')}\n`)).toMatchObject({ rule: 'yaml-alias' });
  });

  test('an alias of itself is refused', async () => {
    expect(await onlyIssue('redis: &a\n  url: *a\n')).toMatchObject({ rule: 'yaml-alias', line: 2 });
  });

  test('an alias without anchor is refused', async () => {
    expect(await mistakes(`log: { level: *nowhere }\n${good}`)).toEqual(['1 yaml-alias log.level']);
  });

  test('brackets nested by the thousand are refused', async () => {
    expect(await onlyIssue(`a: ${'['.repeat(20_000)}\n`)).toMatchObject({ rule: 'yaml-syntax' });
  });

  test('a block nested a hundred deep is refused', async () => {
    expect(await onlyIssue(`a: ${'['.repeat(100)}${']'.repeat(100)}\n`)).toMatchObject({ rule: 'yaml-alias' });
  });

  test('__proto__ and constructor are keys like any other, and unknown', async () => {
    expect(await mistakes(`__proto__: { hostname: x }\nconstructor: y\n${good}`)).toEqual([
      '1 unknown-key __proto__',
      '2 unknown-key constructor',
    ]);
    expect(Object.prototype).not.toHaveProperty('hostname');
  });
});
