/** The reference table of docs/configuration.md as the JSON Schema has it: key, type, default, meaning. */
import { configJsonSchema } from '../../src/config/schema.ts';

interface Row {
  readonly key: string;
  readonly type: string;
  readonly default: string;
  readonly meaning: string;
}

interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: string | number | boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
}

/** Every key that holds a value, in the order of the schema; `<id>` stands for the id of a connector. */
export function rowsOf(): Row[] {
  return rows(configJsonSchema(), '', false);
}

function rows(schema: Schema, key: string, required: boolean): Row[] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    rows(property, key === '' ? name : `${key}.${name}`, schema.required?.includes(name) ?? false),
  );
  if (schema.properties !== undefined) return inner;
  // A list of maps with a title of its own is described elsewhere.
  if (schema.items?.properties !== undefined && schema.title === undefined) {
    return [rowOf(schema, key, required), ...rows(schema.items, `${key}[]`, false)];
  }
  if (typeof schema.additionalProperties === 'object') return rows(schema.additionalProperties, `${key}.<id>`, false);
  return [rowOf(schema, key, required)];
}

function rowOf(schema: Schema, key: string, required: boolean): Row {
  const fallback = schema.default === undefined || schema.items !== undefined ? '' : `\`${schema.default}\``;
  return { key, type: typeOf(schema), default: required ? 'required' : fallback, meaning: schema.description ?? '' };
}

function typeOf(schema: Schema): string {
  const [first] = schema.anyOf ?? [];
  if (schema.title !== undefined) return schema.title;
  if (first?.title !== undefined || schema.enum !== undefined) return first?.title ?? schema.enum?.join(', ') ?? '';
  if (first !== undefined) return typeOf(first);
  if (schema.items?.properties !== undefined) return 'list of maps';
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (schema.type === 'integer') return `${schema.minimum} to ${schema.maximum}`;
  return schema.type === 'boolean' ? '`true`, `false`' : 'text';
}
