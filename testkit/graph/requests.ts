/** What the fake remembers of every request: all that a test wants to know, and neither secrets nor tokens of Entra. */
import type { IncomingHttpHeaders } from 'node:http';

export type Operation =
  | 'discovery'
  | 'token'
  | 'sendMail'
  | 'createMessage'
  | 'createFolderMessage'
  | 'listMessages'
  | 'listFolderMessages'
  | 'getMessage'
  | 'getContent'
  | 'updateMessage'
  | 'deleteMessage'
  | 'send'
  | 'addAttachment'
  | 'listAttachments'
  | 'deleteAttachment'
  | 'createUploadSession'
  | 'uploadRange'
  | 'uploadStatus'
  | 'cancelUpload'
  | 'unknown';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Instead of `body`. */
  readonly octets?: Buffer;
}

export interface FakeRequest {
  /** Counts from 1. */
  readonly serial: number;
  /** ms since the epoch: when its headers were there. */
  readonly at: number;
  readonly operation: Operation;
  readonly method: string;
  /** Path and query as they were on the wire, nothing decoded. That of an upload has its session's token in it. */
  readonly path: string;
  /** Names in lower case. `authorization` shows which token it was, never its value: `Bearer (token 2)`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The app of its token; null without a good token. */
  readonly app: string | null;
  /** The mailbox as the path names it, decoded once; null if the path has none. */
  readonly mailbox: string | null;
  /** What has arrived of the body. A token request's secrets are hidden in it. */
  readonly body: Buffer;
  /** Null as long as, or if ever, it has no answer. `at` is when the answer was handed to the socket. */
  readonly answer: (Answer & { readonly at: number }) | null;
  /** Name of the fault that was played on it. */
  readonly fault: string | null;
}

/** The record while the request is on its way. */
export type OpenRequest = { -readonly [K in keyof FakeRequest]: FakeRequest[K] };

/** Header fields for the record; `describeToken` names the token that an Authorization header carries. */
export function recordedHeaders(
  headers: IncomingHttpHeaders,
  describeToken: (token: string) => string,
): Record<string, string> {
  const recorded: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const text = Array.isArray(value) ? value.join(', ') : (value ?? '');
    recorded[name] = name === 'authorization' ? `Bearer (${describeToken(bearerToken(text) ?? '')})` : text;
  }
  return recorded;
}

/** The token of an Authorization header; null if it is none of that kind. */
export function bearerToken(authorization: string | undefined): string | null {
  return /^Bearer (\S+)$/i.exec(authorization ?? '')?.[1] ?? null;
}

/** A form body without the values of credentials. */
export function hideFormSecrets(body: Buffer): Buffer {
  const text = body.toString('utf8');
  return Buffer.from(
    text.replaceAll(/\b(client_secret|client_assertion|refresh_token|password)=[^&]*/g, '$1=(hidden)'),
  );
}

/** An answer of the token endpoint without the token. */
export function hideAnswerSecrets(body: string): string {
  return body.replaceAll(/("access_token":")[^"]*/g, '$1(hidden)');
}
