/** The section `encryption`: the keys of bodies at rest; its schema, settings and rules. */
import { z } from 'zod';
import { keyIssues, keyNamePattern, readKey } from '../sealing/keys.ts';
import type { EncryptionOptions } from '../sealing/sealing.ts';
import type { ConfigRule, Path, Problem } from './issues.ts';
import * as value from './values.ts';

const must = 'must be 32 bytes in base64 or hex; make one with `openssl rand -base64 32`';
const key = value
  .textAs('encryption-key', (text): value.Reading<string> => (readKey(text) === null ? { must } : { value: text }))
  .describe('A key: 32 bytes in base64 or hex, normally a reference to a file. The name of the key stands for `<id>`.');

export const encryption = z
  .strictObject({
    active: value.text.describe('Name of the key that seals; the others only open.'),
    keys: z
      .record(z.string().meta({ pattern: keyNamePattern }), key)
      .describe('Keys by name: lower-case letters, digits, `-` and `_`, at most 32 characters.'),
    require: z
      .boolean()
      .default(false)
      .describe('Refuses messages that a client has enqueued unsealed: each becomes a dead letter `invalid-message`.'),
  })
  .optional()
  .describe('Seals the bodies of messages before they are stored in Redis. Without it they are stored as they are.');

export function buildEncryption(file: z.output<typeof encryption>): EncryptionOptions | null {
  return file ?? null;
}

const rules: Readonly<Record<string, ConfigRule>> = {
  'key-count': 'encryption-key-count',
  'key-name': 'encryption-key-name',
  'key-twice': 'encryption-key-twice',
  'key-active': 'encryption-active',
};

/** Takes the data of the file. What each key is by itself, the schema has said. */
export function encryptionProblems(section: unknown): Problem[] {
  const { active, keys } = (section ?? {}) as { readonly active?: unknown; readonly keys?: unknown };
  if (typeof keys !== 'object' || keys === null || Array.isArray(keys)) return [];
  const texts = Object.entries(keys).map(([name, text]) => [name, typeof text === 'string' ? text : '']);
  const given = { active: typeof active === 'string' ? active : '', keys: Object.fromEntries(texts) };
  return keyIssues(given).flatMap(({ field, rule, message }): Problem[] => {
    const found = rules[rule];
    if (found === undefined || (field === 'active' && typeof active !== 'string')) return [];
    const [first = '', ...rest] = field.split('.');
    const path: Path = ['encryption', first, ...(rest.length === 0 ? [] : [rest.join('.')])];
    return [{ path, rule: found, message, on: rule === 'key-name' || rule === 'key-count' ? 'key' : 'value' }];
  });
}
