/** A message as Graph's JSON says it, in both directions. */
import { randomUUID } from 'node:crypto';
import { fromBase64 } from './mime.ts';
import {
  newId,
  type Content,
  type OpenMailbox,
  type Person,
  type StoredAttachment,
  type StoredMessage,
} from './mailbox.ts';

export type Json = Readonly<Record<string, unknown>>;

/** Why a body is refused: Graph's code and text, always with 400. */
export class RefusedBody extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The JSON of a request that says that it is JSON. */
export function readTyped({ headers, body }: { headers: Readonly<Record<string, string>>; body: Buffer }): Json {
  if (!/^application\/json\b/i.test(headers['content-type'] ?? '')) {
    throw new RefusedBody('RequestBodyRead', 'The Content-Type is neither application/json nor text/plain.');
  }
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    if (isObject(value)) return value;
  } catch {
    // Said below.
  }
  throw new RefusedBody('BadRequest', 'Unable to read JSON request payload.');
}

/** The members of a message that are there. Unknown members are refused, as OData does. */
export function readMessage(json: Json): Partial<Content> {
  const known: Record<string, (value: unknown) => Partial<Content>> = {
    subject: (value) => ({ subject: textOf(value) }),
    internetMessageId: (value) => ({ internetMessageId: textOf(value) }),
    from: (value) => ({ from: readPerson(value) }),
    sender: (value) => ({ sender: readPerson(value) }),
    toRecipients: (value) => ({ to: arrayOf(value).map(readPerson) }),
    ccRecipients: (value) => ({ cc: arrayOf(value).map(readPerson) }),
    bccRecipients: (value) => ({ bcc: arrayOf(value).map(readPerson) }),
    replyTo: (value) => ({ replyTo: arrayOf(value).map(readPerson) }),
    body: (value) => ({ body: readBody(objectOf(value)) }),
    importance: (value) => ({ importance: choiceOf(value, ['low', 'normal', 'high']) }),
    internetMessageHeaders: (value) => ({ headers: readHeaders(arrayOf(value)) }),
    attachments: (value) => ({ attachments: arrayOf(value).map((each) => readAttachment(objectOf(each))) }),
    isDeliveryReceiptRequested: () => ({}),
    isReadReceiptRequested: () => ({}),
    categories: () => ({}),
  };
  let content: Partial<Content> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name.startsWith('@odata.')) continue;
    const read = Object.hasOwn(known, name) ? known[name] : undefined;
    if (read === undefined) {
      throw new RefusedBody(
        'RequestBodyRead',
        `The property '${name}' does not exist on type 'microsoft.graph.message'.`,
      );
    }
    content = { ...content, ...read(value) };
  }
  return content;
}

export function completeContent(content: Partial<Content>): Content {
  return {
    internetMessageId: `<${randomUUID()}@fake-graph.example>`,
    subject: '',
    from: null,
    to: [],
    cc: [],
    bcc: [],
    replyTo: [],
    body: { contentType: 'text', content: '' },
    importance: 'normal',
    headers: [],
    attachments: [],
    mime: null,
    ...content,
  };
}

/** https://learn.microsoft.com/graph/api/resources/message: only names with X- can be set, and five of them. */
function readHeaders(list: readonly unknown[]): Content['headers'] {
  const headers = list.map(objectOf).map(({ name, value }) => ({ name: textOf(name), value: textOf(value) }));
  const wrong = headers.find(({ name }) => !/^x-/i.test(name));
  if (wrong !== undefined) {
    const text = `The internet message header name '${wrong.name}' should start with 'x-' or 'X-'.`;
    throw new RefusedBody('InvalidInternetMessageHeader', text);
  }
  if (headers.length > 5) {
    const text = 'Maximum number of headers in one message should be less than or equal to 5.';
    throw new RefusedBody('InvalidInternetMessageHeaderCollection', text);
  }
  return headers;
}

export function readAttachment(json: Json): StoredAttachment {
  if (json['@odata.type'] !== '#microsoft.graph.fileAttachment') {
    throw new RefusedBody('RequestBodyRead', "Cannot create an abstract class: '@odata.type' is needed.");
  }
  const bytes = fromBase64(textOf(json['contentBytes']));
  if (bytes === null) throw new RefusedBody('RequestBodyRead', "Cannot convert the literal to the type 'Edm.Binary'.");
  return newAttachment(json, bytes.length, [bytes]);
}

export function newAttachment(json: Json, size: number, chunks: readonly Buffer[]): StoredAttachment {
  return {
    id: newId('AAMkAT'),
    name: textOf(json['name']),
    contentType: typeof json['contentType'] === 'string' ? json['contentType'] : 'application/octet-stream',
    isInline: json['isInline'] === true,
    contentId: typeof json['contentId'] === 'string' ? json['contentId'] : null,
    size,
    chunks,
  };
}

/** What an answer has only where `$select` asks for it: https://learn.microsoft.com/graph/api/resources/message. */
export function selectedJson(message: StoredMessage): Json {
  return message.headers.length === 0 ? {} : { internetMessageHeaders: message.headers };
}

/** The message as an answer. `immutable`: under which of its ids. */
export function messageJson(message: StoredMessage, mailbox: OpenMailbox, immutable: boolean): Json {
  const time = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`;
  return {
    id: immutable ? message.immutableId : message.id,
    createdDateTime: time(message.createdAt),
    lastModifiedDateTime: time(message.sentAt ?? message.createdAt),
    sentDateTime: time(message.sentAt ?? message.createdAt),
    receivedDateTime: time(message.sentAt ?? message.createdAt),
    hasAttachments: message.attachments.length > 0,
    internetMessageId: message.internetMessageId,
    subject: message.subject,
    bodyPreview: message.body.content.slice(0, 255),
    importance: message.importance,
    parentFolderId: mailbox.folderId(message.folder === 'submitted' ? 'drafts' : message.folder),
    isDraft: message.isDraft,
    isRead: message.isRead,
    body: message.body,
    from: message.from === null ? recipient({ address: mailbox.address, name: '' }) : recipient(message.from),
    toRecipients: message.to.map(recipient),
    ccRecipients: message.cc.map(recipient),
    bccRecipients: message.bcc.map(recipient),
    replyTo: message.replyTo.map(recipient),
  };
}

export function attachmentJson({ id, name, contentType, isInline, contentId, size }: StoredAttachment): Json {
  return { '@odata.type': '#microsoft.graph.fileAttachment', id, name, contentType, isInline, contentId, size };
}

const recipient = ({ address, name }: Person): Json => ({ emailAddress: { address, name } });

function readPerson(value: unknown): Person {
  const { address, name } = objectOf(objectOf(value)['emailAddress']);
  return { address: textOf(address), name: textOf(name) };
}

function readBody({ contentType, content }: Json): Content['body'] {
  return { contentType: choiceOf(contentType, ['text', 'html']), content: textOf(content) };
}

/** Members of an enumeration are found whatever their case. */
function choiceOf<const Choice extends string>(value: unknown, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === textOf(value).toLowerCase());
  if (found === undefined) throw new RefusedBody('RequestBodyRead', `The value is none of ${choices.join(', ')}.`);
  return found;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown): Json {
  if (isObject(value)) return value;
  throw new RefusedBody('RequestBodyRead', 'An object is needed where the request has something else.');
}

function arrayOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new RefusedBody('RequestBodyRead', 'A collection is needed where the request has something else.');
}

/** Null, and what is not there, are the empty text. */
function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  throw new RefusedBody('RequestBodyRead', 'A text is needed where the request has something else.');
}
