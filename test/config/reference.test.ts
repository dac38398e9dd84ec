/** Holds docs/configuration.md and schema/config.schema.json to the code, both ways. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { files } from '../../tools/schema.ts';
import { configRules } from '../../src/config/issues.ts';
import { presets } from '../../src/config/presets.ts';
import { configJsonSchema } from '../../src/config/schema.ts';
import { textOf } from '../support/source.ts';
import { goodConfig, loadText } from './load-text.ts';
import { rowsOf } from './reference.ts';

const docs = textOf('docs/configuration.md');
const section = (title: string): string => docs.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const tableRows = (text: string): string[][] =>
  [...text.matchAll(/^\| (`.+) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));

describe('docs/configuration.md', () => {
  test('lists every key with its type, default and meaning, and no others', () => {
    const expected = rowsOf().map((row) => [`\`${row.key}\``, row.type, row.default, row.meaning]);
    expect(tableRows(section('Keys').split('\n| key |')[1]?.split('\nThe presets')[0] ?? '')).toEqual(expected);
  });

  test('gives the upper bound of every duration', async () => {
    const bounds = [...section('Keys').matchAll(/^\| (`\w+`.*) \| (\d+) days? \|$/gm)].flatMap(
      ([, names = '', days = '']) =>
        [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => ({ name, days: Number(days) })),
    );
    const keys = rowsOf().filter(({ type }) => type === 'duration');
    const found = keys.map(({ key }) => {
      const parts = key.split('.');
      const days = bounds.find(({ name }) => parts.includes(name))?.days;
      return { key: key.replace('<id>', 'c').replace('[]', '[0]'), parts, days };
    });
    expect(found.filter(({ days }) => days === undefined)).toEqual([]);
    const messages = found.map(async ({ key, parts, days = 0 }) => {
      const result = await loadText(JSON.stringify(holding(parts, `${days + 1}d`)));
      const issue = result.ok ? undefined : result.issues.find((each) => each.key === key);
      return `${key}: ${issue?.message.split(';')[0]}`;
    });
    expect(await Promise.all(messages)).toEqual(
      found.map(({ key, days }) => `${key}: must not be longer than ${days}d`),
    );
  });

  test('lists every preset with its numbers, and no others', () => {
    const expected = Object.entries(presets).map(
      ([name, { concurrency, messagesPerMinute, recipientsPerDay, maxBytes, recipientsPerMessage }]) => [
        `\`${name}\``,
        `${concurrency}`,
        `${messagesPerMinute}`,
        recipientsPerDay === null ? '–' : `${recipientsPerDay}`,
        maxBytes === null ? '–' : `${maxBytes / 1024 / 1024} MiB`,
        `${recipientsPerMessage}`,
      ],
    );
    expect(tableRows(section('Keys').split('\nThe presets')[1]!).map((row) => row.slice(0, 6))).toEqual(expected);
  });

  test('lists every rule with its meaning and something to do, and no others', () => {
    const rows = tableRows(section('Rules'));
    expect(rows.map(([rule, meaning]) => [rule, meaning])).toEqual(
      Object.entries(configRules).map(([rule, meaning]) => [`\`${rule}\``, meaning]),
    );
    expect(rows.every(([, , advice = '']) => advice.length > 5)).toBe(true);
  });

  test('has an example that loads', async () => {
    const example = /```yaml\n(.*?)```/s.exec(section('Example'))?.[1] ?? '';
    const config = await goodConfig(example, {
      env: { RELAY_PASSWORD: 'a', FINANCE_PASSWORD: 'b', ARCHIVE_PASSWORD: 'c' },
      files: { '/run/secrets/sales': 'd' },
    });
    expect(config.connectors.map(({ id, transport }) => [id, transport?.kind])).toEqual([
      ['relay', 'smtp'],
      ['sales', 'graph'],
      ['finance', 'smtp'],
      ['archive', undefined],
    ]);
  });
});

test('README.md has a configuration that loads', async () => {
  const example = /```yaml\n(.*?)```/s.exec(textOf('README.md'))?.[1] ?? '';
  const config = await goodConfig(example, {
    env: { RELAY_PASSWORD: 'a', ARCHIVE_PASSWORD: 'b' },
    files: { '/run/secrets/sales': 'c', '/run/secrets/finance': 'd' },
  });
  expect(config.connectors.map(({ id }) => id)).toEqual(['relay', 'sales', 'finance', 'archive']);
});

/** A configuration with the value under the key, and nothing else. */
function holding([part = '', ...rest]: readonly string[], value: string): unknown {
  if (part === '') return value;
  if (part.endsWith('[]')) return { [part.slice(0, -2)]: [holding(rest, value)] };
  return { [part === '<id>' ? 'c' : part]: holding(rest, value) };
}

describe('schema/config.schema.json', () => {
  const schema = z.fromJSONSchema(configJsonSchema());
  const withSmtp = (smtp: object) => ({
    hostname: 'a.example',
    systemDefaultGateway: 'c',
    connectors: { c: { direction: 'outgoing', smtp: { host: 'b.example', ...smtp } } },
  });

  test('is what the code says (node tools/schema.ts writes it)', () => {
    expect(textOf('schema/config.schema.json')).toBe(files().get('schema/config.schema.json'));
  });

  test('describes every key', () => {
    expect(rowsOf().filter(({ meaning }) => meaning === '')).toEqual([]);
  });

  test.each([{}, { port: 25 }, { port: '${PORT}' }, { security: '${SECURITY}' }, { timeouts: { connect: '5s' } }])(
    'takes %j',
    (smtp) => {
      expect(schema.safeParse(withSmtp(smtp)).success).toBe(true);
    },
  );

  test.each([{ port: 0 }, { port: '25' }, { prot: 25 }, { security: 'ssl' }, { timeouts: { connect: 5 } }])(
    'refuses %j',
    (smtp) => {
      expect(schema.safeParse(withSmtp(smtp)).success).toBe(false);
    },
  );
});
