/** Judges recorded requests and their answers by the description of the API. */
import type { FakeRequest } from '../../testkit/graph/requests.ts';
import { operations, schemas, type DescribedOperation, type OperationFacts } from './graph-api.ts';

/** Everything about the requests, and about the fake's answers, that the API's description does not allow. */
export function apiProblems(requests: readonly FakeRequest[]): string[] {
  return requests.flatMap((request) => {
    const { operation, serial } = request;
    const facts = Object.hasOwn(operations, operation) ? operations[operation as DescribedOperation] : null;
    const problems =
      facts !== null
        ? [...requestProblems(request, facts), ...answerProblems(request, facts)]
        : operation === 'unknown'
          ? [`${request.method} ${request.path} is no call of the API`]
          : [];
    return problems.map((problem) => `request ${serial}, ${operation}: ${problem}`);
  });
}

function* requestProblems(request: FakeRequest, facts: OperationFacts): Generator<string> {
  const { method, path, headers, operation, body } = request;
  const [bare = '', query = ''] = path.split('?');
  if (method !== facts.method) yield `the method is ${method}`;
  const upload = operation === 'uploadRange';
  // What encodeURIComponent leaves as it is, and the @ that needs no encoding in a path (RFC 3986 section 3.3).
  const template = facts.path
    .replaceAll('$', String.raw`\$`)
    .replaceAll(/\{\w+\}/g, "(?:[A-Za-z0-9_.~!'()*@-]|%[0-9A-F]{2})+");
  if (!upload && !new RegExp(`^${template}$`).test(bare)) yield `the path is not encoded: ${bare}`;
  if (!upload) {
    for (const pair of query.split('&').filter((pair) => pair !== '')) {
      const name = decodeURIComponent(pair.split('=')[0] ?? '');
      if (!(facts.query ?? []).includes(name)) yield `the query has ${name}`;
      if (/[^A-Za-z0-9_.~!'()*@$=,:;%-]/.test(pair)) yield `the query is not encoded: ${pair}`;
    }
  }
  yield* headerProblems(request, facts);
  // A request that was cut has not been said whole.
  if (request.answer === null) return;
  const type = (headers['content-type'] ?? '').split(';')[0] ?? '';
  if (facts.request === null) {
    if (body.length > 0) yield 'there is a body';
    return;
  }
  const schema = facts.request[type];
  if (schema === undefined) yield `the media type is ${type}`;
  else yield* bodyProblems(request, schema);
}

function* headerProblems({ headers, operation, body, answer }: FakeRequest, facts: OperationFacts): Generator<string> {
  const upload = operation === 'uploadRange';
  if (upload === (headers['authorization'] !== undefined)) yield upload ? 'a token is shown' : 'no token is shown';
  const { prefer } = headers;
  // https://learn.microsoft.com/graph/outlook-immutable-id: on every request of Outlook's items.
  if (prefer !== undefined && (upload || prefer !== 'IdType="ImmutableId"')) yield `Prefer is ${prefer}`;
  const id = headers['client-request-id'];
  if (id !== undefined && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    yield 'client-request-id is no GUID';
  const empty = facts.method === 'POST' && facts.request === null && body.length === 0;
  if (empty && headers['content-length'] !== '0') {
    yield 'Content-Length is not 0';
  }
  if (upload && answer !== null) {
    if (headers['content-length'] !== String(body.length)) yield 'Content-Length is not that of the body';
    if (!/^bytes \d+-\d+\/\d+$/.test(headers['content-range'] ?? '')) yield 'Content-Range is missing or wrong';
  }
}

function* bodyProblems({ body }: FakeRequest, schema: string): Generator<string> {
  if (schema === 'bytes') return;
  const text = body.toString('utf8');
  if (schema === 'mime') {
    const compact = text.replaceAll(/\r?\n/g, '');
    if (Buffer.from(compact, 'base64').toString('base64') !== compact) yield 'the body is not padded standard base64';
    return;
  }
  yield* jsonProblems(text, schema);
}

function* answerProblems({ answer, fault }: FakeRequest, facts: OperationFacts): Generator<string> {
  if (answer === null) return;
  const { status, headers, body } = answer;
  if (status >= 400) {
    const retryAfter = headers['retry-after'];
    if (retryAfter !== undefined && !/^\d+$/.test(retryAfter) && Number.isNaN(Date.parse(retryAfter))) {
      yield `Retry-After is ${retryAfter}`;
    }
    if (/json/.test(headers['content-type'] ?? '')) yield* jsonProblems(body, 'ODataError');
    return;
  }
  const schema = facts.answers[status];
  // A success that Graph does not describe is played on purpose.
  if (schema === undefined) yield* fault === null ? [`the answer is ${status}`] : [];
  else if (schema === null) yield* body === '' ? [] : ['the answer has a body'];
  else if (schema !== 'octets') yield* jsonProblems(body, schema);
}

function* jsonProblems(text: string, schema: string): Generator<string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    yield 'it is not JSON';
    return;
  }
  yield* valueProblems(value, schema, schema);
}

/** Facts about a value of a member's type; `at` is where it is. */
function* valueProblems(value: unknown, type: string, at: string): Generator<string> {
  if (type.endsWith('?')) {
    if (value !== null) yield* valueProblems(value, type.slice(0, -1), at);
  } else if (type.endsWith('[]')) {
    if (!Array.isArray(value)) yield `${at} is no list`;
    else for (const [index, each] of value.entries()) yield* valueProblems(each, type.slice(0, -2), `${at}[${index}]`);
  } else if (Object.hasOwn(schemas, type)) yield* objectProblems(value, type, at);
  else if (!isOfType(value, type)) yield `${at} is no ${type}`;
}

function* objectProblems(value: unknown, type: string, at: string): Generator<string> {
  const { required = [], members = {} } = schemas[type] ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    yield `${at} is no object`;
    return;
  }
  for (const name of required) if (!Object.hasOwn(value, name)) yield `${at}.${name} is missing`;
  for (const [name, member] of Object.entries(value)) {
    if (name.startsWith('@odata.')) continue;
    const memberType = Object.hasOwn(members, name) ? members[name] : undefined;
    if (memberType === undefined) yield `${at}.${name} is unknown`;
    else yield* valueProblems(member, memberType, `${at}.${name}`);
  }
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'any':
      return true;
    case 'string':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isInteger(value);
    case 'date-time':
      return typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value);
    case 'base64':
      return typeof value === 'string' && Buffer.from(value, 'base64').toString('base64') === value;
    default:
      return typeof value === 'string' && type.split('|').includes(value);
  }
}
