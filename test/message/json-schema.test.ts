/** The generated JSON Schemas: up to date, and with every form of a value. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { files } from '../../tools/schema.ts';

test.each([...files()])('%s is what the source says; `npm run schema` writes it', async (path, content) => {
  expect(await readFile(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(content);
});

test('every field of the message schema has a description for editors', () => {
  const schema = JSON.parse(files().get('schema/message.schema.json') ?? '') as {
    properties: Record<string, { description?: string }>;
  };
  expect(Object.entries(schema.properties).filter(([, field]) => field.description === undefined)).toEqual([]);
  expect(Object.keys(schema.properties)).toContain('attachments');
});

test('the message schema has every form of a value that JSON can have', () => {
  const schema = JSON.parse(files().get('schema/message.schema.json') ?? '') as Record<string, Record<string, unknown>>;
  const formsOf = (field: string): unknown[] => {
    const forms = (node: unknown): unknown[] => {
      const { anyOf, $ref, type } = node as { anyOf?: unknown[]; $ref?: string; type?: string };
      return anyOf?.flatMap(forms) ?? [$ref ?? type];
    };
    return forms(schema['properties']?.[field]);
  };
  expect(formsOf('from')).toEqual(['#/$defs/Mailbox']);
  expect(formsOf('to')).toEqual(['#/$defs/Mailbox', 'array']);
  expect(formsOf('raw')).toEqual(['string', 'object', 'object']);
  expect(formsOf('references')).toEqual(['string', 'array']);
  expect(formsOf('sendAt')).toEqual(['string', 'number']);
  expect(formsOf('subject')).toEqual(['string']);
});
