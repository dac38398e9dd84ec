/** The OpenAPI 3.1 document, made of the declarations of the routes. zod writes JSON Schema 2020-12, which is the dialect of OpenAPI 3.1. */
import { z } from 'zod';
import { kindOf, type ProblemCode } from '../problem.ts';
import type { Answer, Route } from './route.ts';

type Schema = Readonly<Record<string, unknown>>;

const problemSchema = z
  .looseObject({
    type: z.url().meta({ description: 'Where the code is explained.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'For people; it may change.' }),
    code: z.string().meta({ description: 'Stable.' }),
    issues: z
      .array(z.object({ field: z.string(), rule: z.string(), message: z.string() }))
      .optional()
      .meta({ description: 'What is wrong, by field and rule.' }),
    id: z
      .string()
      .optional()
      .meta({ description: 'Of the message concerned; to submit it again with this id does no harm.' }),
    retryAfterMs: z
      .int()
      .optional()
      .meta({ description: 'When to ask again, where that is known: what `Retry-After` says in whole seconds.' }),
  })
  .meta({ id: 'Problem' });

/** What every route may answer. */
const everyRoute: readonly ProblemCode[] = [
  'unauthenticated',
  'misdirected',
  'rate-limited',
  'invalid-request',
  'redis-unavailable',
  'internal',
  'timeout',
];

export function openApiDocument(routes: readonly Route[]): Schema {
  const components = createComponents();
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route, components) };
  }
  components.add(problemSchema);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Postlane',
      version: '1',
      description: 'Submit e-mail, follow it, and operate the queue. docs/api.md explains scopes, errors and limits.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    paths: { ...paths, '/v1/openapi.json': { get: openApiOperation } },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token of `api.tokens`.' } },
      schemas: components.all(),
    },
  };
}

const openApiOperation = {
  operationId: 'getOpenApi',
  summary: 'Shows this document',
  security: [],
  responses: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: { type: 'object' } } } } },
};

function operationOf(route: Route, components: Components): Schema {
  const { name, summary, description, scope, params, query, headers, body, payload, answers, problems = [] } = route;
  const types = payload?.types ?? (body === undefined ? null : { 'application/json': body });
  return {
    operationId: name,
    summary,
    ...(description === undefined ? {} : { description }),
    // OpenAPI has scopes of OAuth2 alone; what a token needs stands here.
    'x-scope': scope,
    parameters: [
      ...parametersOf(params, 'path', components),
      ...parametersOf(query, 'query', components),
      ...parametersOf(headers, 'header', components),
    ],
    ...(types === null
      ? {}
      : { requestBody: { required: body === undefined || !isOptional(body), content: contentOf(types, components) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, responseOf(answer, components)]),
      ),
      ...problemResponses([
        ...everyRoute,
        // What every token may do is refused to none.
        ...(scope === 'any' ? [] : (['forbidden'] as const)),
        ...(types === null ? [] : bodyProblems),
        ...problems,
      ]),
    },
  };
}

const bodyProblems: readonly ProblemCode[] = ['malformed-request', 'too-large', 'unsupported-media-type'];

function problemResponses(codes: readonly ProblemCode[]): Schema {
  const byStatus = Map.groupBy(new Set(codes), (code) => kindOf(code).status);
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${kindOf(code).title}`).join(' '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

function responseOf({ description, body, contentType = 'application/json' }: Answer, components: Components): Schema {
  return body === undefined
    ? { description }
    : { description, content: contentOf({ [contentType]: body }, components, 'output') };
}

function contentOf(types: Readonly<Record<string, z.ZodType>>, components: Components, io: Io = 'input'): Schema {
  return Object.fromEntries(
    Object.entries(types).map(([type, schema]) => [type, { schema: components.schema(schema, io) }]),
  );
}

function parametersOf(shape: z.ZodObject | undefined, where: string, components: Components): readonly Schema[] {
  return Object.entries(shape?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = components.schema(schema as z.ZodType, 'input') as { description?: string };
    const required = where === 'path' || !isOptional(schema as z.ZodType);
    return { name, in: where, required, ...(description === undefined ? {} : { description }), schema: rest };
  });
}

function isOptional(schema: z.ZodType): boolean {
  return schema.safeParse(undefined).success;
}

type Io = 'input' | 'output';

interface Components {
  /** The schema, with references to those that have an id. */
  schema(of: z.ZodType, io: Io): Schema;
  add(of: z.ZodType): void;
  all(): Schema;
}

/** Schemas by their id, gathered while the document is made. */
function createComponents(): Components {
  const named: Record<string, unknown> = {};
  /** Definitions within a schema become components. */
  const hoisted = ({ $schema: _dialect, $defs = {}, ...rest }: Record<string, unknown>): Record<string, unknown> => {
    for (const [name, each] of Object.entries($defs as Record<string, Record<string, unknown>>)) {
      const { id: _id, ...definition } = hoisted(each);
      named[name] = definition;
    }
    return rest;
  };
  const schema = (of: z.ZodType, io: Io): Schema => {
    const made = z.toJSONSchema(of, { io, unrepresentable: 'any', reused: 'inline' }) as Record<string, unknown>;
    const { id, ...rest } = hoisted(relocated(made) as Record<string, unknown>);
    if (typeof id !== 'string') return rest;
    named[id] = rest;
    return { $ref: `#/components/schemas/${id}` };
  };
  return {
    schema,
    add: (of) => void schema(of, 'output'),
    all: () => Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** References to `$defs` of a schema become references to components. */
function relocated(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(relocated);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      key === '$ref' && typeof value === 'string'
        ? value.replace('#/$defs/', '#/components/schemas/')
        : relocated(value),
    ]),
  );
}
