/** Which operation a request line asks for. Works on the raw path: every segment is decoded exactly once, after the split. */
import type { Operation } from './requests.ts';

export interface Route {
  readonly operation: Operation;
  /** Decoded segments by name: tenant, user, message, attachment, folder. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: ReadonlyMap<string, string>;
}

/** `{name}` takes one segment. Names are matched without case, as Graph does. */
const templates: readonly (readonly [Operation, string, string])[] = [
  ['discovery', 'GET', '{tenant}/v2.0/.well-known/openid-configuration'],
  ['token', 'POST', '{tenant}/oauth2/v2.0/token'],
  ['sendMail', 'POST', 'v1.0/users/{user}/sendMail'],
  ['createMessage', 'POST', 'v1.0/users/{user}/messages'],
  ['listMessages', 'GET', 'v1.0/users/{user}/messages'],
  ['createFolderMessage', 'POST', 'v1.0/users/{user}/mailFolders/{folder}/messages'],
  ['listFolderMessages', 'GET', 'v1.0/users/{user}/mailFolders/{folder}/messages'],
  ['getMessage', 'GET', 'v1.0/users/{user}/messages/{message}'],
  ['getContent', 'GET', 'v1.0/users/{user}/messages/{message}/$value'],
  ['updateMessage', 'PATCH', 'v1.0/users/{user}/messages/{message}'],
  ['deleteMessage', 'DELETE', 'v1.0/users/{user}/messages/{message}'],
  ['send', 'POST', 'v1.0/users/{user}/messages/{message}/send'],
  ['addAttachment', 'POST', 'v1.0/users/{user}/messages/{message}/attachments'],
  ['listAttachments', 'GET', 'v1.0/users/{user}/messages/{message}/attachments'],
  ['deleteAttachment', 'DELETE', 'v1.0/users/{user}/messages/{message}/attachments/{attachment}'],
  ['createUploadSession', 'POST', 'v1.0/users/{user}/messages/{message}/attachments/createUploadSession'],
];

const uploadTemplates: readonly (readonly [Operation, string, string])[] = [
  ['uploadRange', 'PUT', 'api/v2.0/attachmentSessions/{session}'],
  ['uploadStatus', 'GET', 'api/v2.0/attachmentSessions/{session}'],
  ['cancelUpload', 'DELETE', 'api/v2.0/attachmentSessions/{session}'],
];

/** Upload sessions are a service of their own, which takes no token: at Microsoft on another host, here under another path. */
export type Service = 'graph' | 'upload';

export function serviceOf(url: string): Service {
  return url.startsWith('/api/v2.0/attachmentSessions/') ? 'upload' : 'graph';
}

export function routeOf(service: Service, method: string, url: string): Route {
  const [path = '', search = ''] = split(url, '?');
  const segments = path.slice(1).split('/');
  const query = queryOf(search);
  for (const [operation, wanted, template] of service === 'graph' ? templates : uploadTemplates) {
    if (wanted !== method) continue;
    const parameters = match(template.split('/'), segments);
    if (parameters !== null) return { operation, parameters, query };
  }
  return { operation: 'unknown', parameters: {}, query };
}

function match(template: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (template.length !== segments.length) return null;
  const parameters: Record<string, string> = {};
  for (const [index, part] of template.entries()) {
    const segment = segments[index] ?? '';
    if (!part.startsWith('{')) {
      if (part.toLowerCase() !== segment.toLowerCase()) return null;
      continue;
    }
    const value = decode(segment);
    if (value === null || value === '') return null;
    parameters[part.slice(1, -1)] = value;
  }
  return parameters;
}

/** In a query `+` is a space: a client that does not encode the plus of an address finds nothing, as with Graph. */
function queryOf(search: string): Map<string, string> {
  const pairs = search.split('&').filter((pair) => pair !== '');
  return new Map(
    pairs.map((pair) => {
      const [name = '', value = ''] = split(pair, '=').map((text) => decode(text.replaceAll('+', ' ')) ?? text);
      return [name, value];
    }),
  );
}

function split(text: string, by: string): string[] {
  const at = text.indexOf(by);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** Null if the percent signs are not those of UTF-8. */
function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
