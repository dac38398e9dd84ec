/** docs/messages.md has every field of a message, and no other. */
import { expect, test } from 'vitest';
import { messageSchema } from '../../src/message/fields.ts';
import { messageRules } from '../../src/message/rules.ts';
import { textOf } from '../support/source.ts';

const page = textOf('docs/messages.md');

test('the table of docs/messages.md has every field of the schema, once', () => {
  const table = page.slice(page.indexOf('## Fields'), page.indexOf('## By SMTP'));
  const cells = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell = '']) => cell);
  const named = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name));
  expect(named).toEqual(Object.keys(messageSchema.shape));
});

test('every rule that docs/messages.md names is one', () => {
  const named = [...page.matchAll(/rule `([a-z-]+)`/g)].map(([, rule = '']) => rule);
  expect(named).toContain('calendar');
  expect(named.filter((rule) => !Object.hasOwn(messageRules, rule))).toEqual([]);
});
