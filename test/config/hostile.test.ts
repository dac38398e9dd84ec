/** Text that is no configuration: refused with few words, without the cost of parsing it, and without repeating a secret. */
import { describe, expect, test } from 'vitest';
import { formatIssues } from '../../src/config/issues.ts';
import { growsLinearly } from '../support/growth.ts';
import { loadText, withConnector } from './load-text.ts';

const mebibyte = 1024 * 1024;
const good = withConnector('direction: outgoing\nsmtp: { host: a.example }');
const fill = (unit: string, length = mebibyte): string => unit.repeat(Math.floor(length / unit.length));

async function issuesOf(text: string) {
  const result = await loadText(text);
  return result.ok ? [] : result.issues;
}

describe('a megabyte', () => {
  test.each([
    ['brackets', fill('[')],
    ['braces', fill('{a: ')],
    ['brackets within keys', fill('[a, ')],
    ['explicit keys', fill('? ')],
    ['explicit keys on lines', fill('?\n')],
    ['list items', fill('- ')],
    ['list items on lines', `a:\n${fill(' -\n')}`],
    ['commas', `[${fill(',')}`],
    ['closing brackets', fill(']')],
    ['colons', fill(': ')],
    ['tags', fill('!a ')],
    ['anchors', fill('&a ')],
    ['aliases', fill('*a ')],
    ['quotes', fill('"')],
    ['quoted words', fill("'a' ")],
    ['directives', fill('%a\n')],
  ])('of %s is refused before it is parsed, with one mistake', async (_name, text) => {
    const issues = await issuesOf(text);
    expect(issues).toHaveLength(1);
    expect(issues[0]).toMatchObject({ rule: 'yaml-syntax', key: '' });
    expect(issues[0]?.message).toMatch(/^the file is (?:nested too deeply|not a map of keys and values)$/);
    expect(issues[0]?.line).toBeGreaterThan(0);
  });

  test('of values is refused with one mistake', async () => {
    const text = withConnector(`direction: outgoing\naddresses: [${fill('x, ')}]`);
    expect(await issuesOf(text)).toMatchObject([{ rule: 'too-many-values', key: '' }]);
  });

  test('of wrong connectors lists a thousand mistakes, and counts the others', async () => {
    let connectors = '';
    for (let at = 0; connectors.length < mebibyte / 2; at += 1) connectors += `  c${at}: { a: 1, b: 2 }\n`;
    const issues = await issuesOf(good + connectors);
    expect(issues).toHaveLength(1_001);
    expect(issues.at(-1)).toMatchObject({
      rule: 'too-many-mistakes',
      message: expect.stringMatching(/^\d+ more are not/),
    });
  });
});

test('unknown keys cost linear time, and only the first hundred get a suggestion', async () => {
  const keys = (count: number): string => Array.from({ length: count }, (_, at) => `k${at}: 1\n`).join('');
  expect(await growsLinearly((size) => issuesOf(good + keys(size)), 8_000)).toBe(true);
  const issues = await issuesOf(good + keys(500));
  expect(issues.filter(({ message }) => message.includes('known keys:'))).toHaveLength(100);
});

test('a file with so many mistakes that they exhaust the stack is one mistake', async () => {
  let connectors = '';
  for (let at = 0; connectors.length < mebibyte * 0.7; at += 1) connectors += `  c${at}: { incoming: {} }\n`;
  const issues = await issuesOf(good + connectors);
  expect(issues.some(({ rule }) => rule === 'too-many-mistakes')).toBe(true);
});

describe('an error does not repeat a secret in the wrong place', () => {
  const secret = 'hunter2-Zx';
  test.each([
    ['a URL with a login as a host', `smtp: { host: "smtp://user:${secret}@smtp.example.com" }`],
    ['a login before a host', `smtp: { host: "user:${secret}@smtp.example.com" }`],
    ['a password as a port', `smtp: { host: a.example, port: ${secret} }`],
    ['a password as a concurrency', `smtp: { host: a.example }\nlimits: { concurrency: ${secret} }`],
    ['a login as a list', `smtp: { host: a.example }\naddresses: user:${secret}@a.example`],
  ])('%s', async (_name, keys) => {
    const issues = await issuesOf(withConnector(`direction: outgoing\n${keys}`));
    expect(issues.length).toBeGreaterThan(0);
    expect(formatIssues(issues).join('\n')).not.toContain('hunter2');
  });

  test('a password in a Redis URL', async () => {
    const issues = await issuesOf(`redis: { url: "redis://:${secret}/%@h" }\n${good}`);
    expect(issues).toMatchObject([{ rule: 'url' }]);
    expect(formatIssues(issues).join('\n')).not.toContain('hunter2');
  });

  test('an unknown key without a value, beyond the keys that get a suggestion', async () => {
    const keys = Array.from({ length: 150 }, (_, at) => `k${at}: 1`).join(', ');
    const text = withConnector(`direction: outgoing\nsmtp: { host: a.example, auth: { user: u, ${keys}, ${secret} } }`);
    expect(formatIssues(await issuesOf(text)).join('\n')).not.toContain('hunter2');
  });
});
