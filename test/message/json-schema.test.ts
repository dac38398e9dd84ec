import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { files } from '../../scripts/schema.ts';

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
