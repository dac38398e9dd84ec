/**
 * A client made from schema/openapi.json alone: it knows of the API what any other program could read there. Each answer is held against
 * the document: its status has to be listed, and its body has to fit.
 */
import { z } from 'zod';
import { ask, type Answered } from './http-server.ts';
import { textOf } from './source.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
}

type Content = Readonly<Record<string, { readonly schema: object }>>;

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** null: no token is needed. */
  readonly scope: string | null;
  readonly parameters: readonly Parameter[];
  readonly types: readonly string[];
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Record<string, unknown>>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

interface Given {
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Beside those that the document names. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Client {
  readonly operations: readonly Operation[];
  /** Calls an operation; throws if the answer is not as the document says. */
  readonly call: (id: string, given?: Given, token?: string | null) => Promise<Answered>;
}

const document = JSON.parse(textOf('schema/openapi.json')) as Document;
const definitions = JSON.parse(
  JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
) as Record<string, object>;

export function openApiDocument(): object {
  return document;
}

export function createClient(port: number, usual: string): Client {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationOf(path, method, operation)),
  );
  return {
    operations,
    async call(id, { params = {}, body, contentType, headers: more = {} } = {}, token = usual) {
      const operation = operations.find((each) => each.id === id);
      if (operation === undefined) throw new Error(`the document has no operation ${id}`);
      const { headers, url } = requestOf(operation, params);
      const type = contentType ?? operation.types[0];
      const answered = await ask(port, url, {
        method: operation.method,
        headers: {
          ...headers,
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined || type === undefined ? {} : { 'content-type': type }),
          ...more,
        },
        ...(body === undefined ? {} : { body }),
      });
      hold(operation, answered);
      return answered;
    },
  };
}

function operationOf(path: string, method: string, operation: Record<string, unknown>): Operation {
  const { operationId, parameters = [], requestBody, responses } = operation;
  const content = (requestBody as { content?: Content } | undefined)?.content ?? {};
  return {
    id: operationId as string,
    method: method.toUpperCase(),
    path,
    scope: Array.isArray(operation['security']) ? null : (operation['x-scope'] as string),
    parameters: parameters as Parameter[],
    types: Object.keys(content),
    responses: responses as Operation['responses'],
  };
}

function requestOf({ path, parameters }: Operation, params: Readonly<Record<string, string>>) {
  const search = new URLSearchParams();
  const headers: Record<string, string> = {};
  let url = path;
  for (const [name, value] of Object.entries(params)) {
    const where = parameters.find((each) => each.name === name)?.in;
    if (where === 'path') url = url.replace(`{${name}}`, encodeURIComponent(value));
    else if (where === 'header') headers[name] = value;
    else search.append(name, value);
  }
  const query = search.toString();
  return { headers, url: query === '' ? url : `${url}?${query}` };
}

function hold({ id, responses }: Operation, { status, headers, body }: Answered): void {
  const response = responses[String(status)];
  if (response === undefined) throw new Error(`${id} answered ${status}, which the document does not list`);
  const type = String(headers['content-type'] ?? '').split(';')[0]!;
  const schema = response.content?.[type]?.schema;
  if (schema === undefined) {
    if (response.content === undefined) return;
    throw new Error(`${id} answered ${status} as ${type}, which the document does not list`);
  }
  const local = JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/')) as object;
  const result = z.fromJSONSchema({ ...local, $defs: definitions } as never).safeParse(body);
  if (!result.success) throw new Error(`${id} answered what is not in the document: ${result.error.message}`);
}
