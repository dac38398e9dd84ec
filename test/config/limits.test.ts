/** Holds docs/limits.md to the schema, to the one type of a connector's limits, and to the files that enforce them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConnectorLimits } from '../../src/routing/connector.ts';
import { root, textOf } from '../support/source.ts';
import { goodConfig } from './load-text.ts';
import { rowsOf } from './reference.ts';

const docs = textOf('docs/limits.md');
const tableOf = (title: string): string[][] => {
  const section = docs.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
  return [...section.matchAll(/^\| (`.+) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()));
};
const unquoted = (cell = ''): string => cell.replaceAll('`', '');
const schemaKeys = (prefix: string): string[] =>
  rowsOf().flatMap(({ key }) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));

/** A value of each key, and what the field of the type holds then. The compiler asks for every field. */
const samples = {
  concurrency: { key: 'concurrency', written: '7', held: 7 },
  messagesPerMinute: { key: 'messagesPerMinute', written: '7', held: 7 },
  recipientsPerDay: { key: 'recipientsPerDay', written: '7', held: 7 },
  bytesPerWindow: { key: 'bytes', written: '7MB/5m', held: { bytes: 7_000_000, windowMs: 300_000 } },
  maxBytes: { key: 'maxSize', written: '7KiB', held: 7 * 1024 },
  recipientsPerMessage: { key: 'recipientsPerMessage', written: '7', held: 7 },
  messagesPerSession: { key: 'messagesPerSession', written: '7', held: 7 },
  group: {
    key: 'group',
    written: 'tenant',
    held: { id: 'tenant', messagesPerMinute: null, recipientsPerDay: 7, bytesPerWindow: null },
  },
} as const satisfies Record<keyof ConnectorLimits, { key: string; written: string; held: unknown }>;

describe('docs/limits.md', () => {
  test('lists every key of `limits` with the field that holds it, and no others', () => {
    const rows = tableOf('Of a connector').map(([key, field]) => [unquoted(key), unquoted(field)]);
    expect(rows).toEqual(Object.entries(samples).map(([field, { key }]) => [key, field]));
    // A preset is no limit of its own: it fills in the others.
    const keys = schemaKeys('connectors.<id>.limits.').filter((key) => key !== 'preset');
    expect(rows.map(([key]) => key)).toEqual(keys);
  });

  test.each(Object.entries(samples))('names the field that the key sets: %s', async (field, { key, written, held }) => {
    const config = await goodConfig(
      [
        'hostname: a.example',
        'systemDefaultGateway: relay',
        'limitGroups: { tenant: { recipientsPerDay: 7 } }',
        'connectors:',
        `  relay: { direction: outgoing, smtp: { host: smtp.example }, limits: { ${key}: ${written} } }`,
      ].join('\n'),
    );
    expect(config.connectors[0]?.limits).toMatchObject({ [field]: held });
  });

  test('lists every limit of a message, and limits of a process that exist', () => {
    const message = tableOf('Of a message').map(([key]) => unquoted(key));
    expect(message).toEqual(schemaKeys('message.').map((key) => `message.${key}`));
    const known = schemaKeys('worker.').map((key) => `worker.${key}`);
    const worker = tableOf('Of a process').map(([key]) => unquoted(key));
    expect(worker).toEqual(['worker.slots', 'worker.maxBytesInFlight']);
    expect(worker.filter((key) => !known.includes(key))).toEqual([]);
  });

  test('names files that exist, and says of each limit what happens', () => {
    const rows = ['Of a connector', 'Of a message', 'Of a process'].flatMap(tableOf);
    const files = rows.flatMap(([, , enforced = '']) => unquoted(enforced).split(', '));
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(rows.filter(([, , , reached = '']) => reached.length < 5)).toEqual([]);
  });
});
