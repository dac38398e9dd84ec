/** The mail endpoints: the checks that all of them share, and the endpoints on a whole mailbox. */
import { empty, graphError, json } from './answers.ts';
import type { MailCall, MailContext, MailServices } from './mail-context.ts';
import { messageEndpoints } from './message-endpoints.ts';
import {
  completeContent,
  messageJson,
  objectOf,
  readMessage,
  readTyped,
  RefusedBody,
  type Json,
} from './message-json.ts';
import { fromBase64, readMime } from './mime.ts';
import { findMessages } from './queries.ts';
import { folders, type Folder } from './mailbox.ts';
import type { Answer, Operation } from './requests.ts';

const right: Partial<Record<Operation, 'send' | 'read' | 'write'>> = {
  sendMail: 'send',
  send: 'send',
  listMessages: 'read',
  listFolderMessages: 'read',
  getMessage: 'read',
  getContent: 'read',
  listAttachments: 'read',
};

export async function serveMail(call: MailCall, services: MailServices): Promise<Answer> {
  const { operation, parameters, headers } = call;
  if (operation === 'unknown') return graphError(400, 'BadRequest', 'Resource not found for the segment.');
  const user = parameters['user'] ?? '';
  const mailbox = services.mailboxOf(user);
  if (mailbox === null) return graphError(404, 'ErrorInvalidUser', `The requested user '${user}' is invalid.`);
  const { permissions } = mailbox;
  const mayList = permissions.list && (operation === 'listMessages' || operation === 'listFolderMessages');
  if (!mayList && !permissions[right[operation] ?? 'write']) {
    return graphError(403, 'ErrorAccessDenied', 'Access is denied. Check credentials and try again.');
  }
  const isMime = /^text\/plain\b/i.test(headers['content-type'] ?? '');
  if (call.tooLarge) {
    // Seen in 2021: https://github.com/microsoftgraph/microsoft-graph-docs/issues/13979
    if (services.oversize === 'silent' && isMime) return empty(200);
    return graphError(413, 'RequestEntityTooLarge', 'The maximum request length supported is 4MB.');
  }
  const immutable = /\bIdType\s*=\s*"ImmutableId"/i.test(headers['prefer'] ?? '');
  const context: MailContext = { ...services, call, mailbox, isMime, immutable };
  try {
    const ofMailbox = mailboxEndpoints[operation];
    if (ofMailbox !== undefined) return await ofMailbox(context);
    const message = mailbox.find(parameters['message'] ?? '');
    if (message === null) return notFound('object');
    return messageEndpoints[operation]?.(context, message) ?? graphError(405, 'BadRequest', 'Method not allowed.');
  } catch (error) {
    if (error instanceof RefusedBody) return graphError(400, error.code, error.message);
    throw error;
  }
}

const mailboxEndpoints: Partial<Record<Operation, (context: MailContext) => Promise<Answer> | Answer>> = {
  async sendMail({ call, mailbox, isMime, outbox, now }) {
    // The names are those of the CSDL or those of the documentation: Graph takes both.
    const request = isMime ? {} : lowerInitials(readTyped(call));
    const message = isMime ? await readMimeBody(call) : completeContent(readMessage(objectOf(request['message'])));
    const refused = outbox.refusal(mailbox, message);
    if (refused !== null) return refused;
    outbox.submit(mailbox, mailbox.add(message, 'drafts', now()), wantsCopy(request['saveToSentItems']));
    return empty(202);
  },
  createMessage: createDraft,
  createFolderMessage: (context) => (folderOf(context) === 'drafts' ? createDraft(context) : notFound('folder')),
  listMessages({ call, mailbox, immutable, origin }) {
    const all = folders.flatMap((folder) => mailbox.in(folder));
    const url = `${origin()}/v1.0/users/${encodeURIComponent(mailbox.address)}/messages`;
    return findMessages(mailbox, all, call.query, immutable, url);
  },
  listFolderMessages(context) {
    const { call, mailbox, immutable, origin } = context;
    const folder = folderOf(context);
    if (folder === null) return notFound('folder');
    const url = `${origin()}/v1.0/users/${encodeURIComponent(mailbox.address)}/mailFolders/${folder}/messages`;
    return findMessages(mailbox, mailbox.in(folder), call.query, immutable, url);
  },
};

async function createDraft({ call, mailbox, isMime, immutable, now, origin }: MailContext): Promise<Answer> {
  const content = isMime ? await readMimeBody(call) : completeContent(readMessage(readTyped(call)));
  const created = messageJson(mailbox.add(content, 'drafts', now()), mailbox, immutable);
  return json(201, { '@odata.context': `${origin()}/v1.0/$metadata#users/messages/$entity`, ...created });
}

/** The documentation's samples also send it as a text. */
function wantsCopy(saveToSentItems: unknown): boolean {
  return saveToSentItems !== false && saveToSentItems !== 'false';
}

function lowerInitials(request: Json): Json {
  const pairs = Object.entries(request);
  return Object.fromEntries(pairs.map(([name, value]) => [name.slice(0, 1).toLowerCase() + name.slice(1), value]));
}

async function readMimeBody({ body }: MailCall) {
  const mime = fromBase64(body.toString('latin1'));
  if (mime === null || mime.length === 0) {
    throw new RefusedBody('ErrorMimeContentInvalidBase64String', 'Invalid base64 string for MIME content.');
  }
  return readMime(mime);
}

/** By its well-known name or its id. */
function folderOf({ call, mailbox }: MailContext): Folder | null {
  const asked = call.parameters['folder'] ?? '';
  return folders.find((name) => asked.toLowerCase() === name || asked === mailbox.folderId(name)) ?? null;
}

function notFound(what: 'object' | 'folder'): Answer {
  return graphError(404, 'ErrorItemNotFound', `The specified ${what} was not found in the store.`);
}
