/**
 * What Microsoft's description of Graph's mail API says about the calls that Postlane makes: paths, media types, status
 * codes, and the members of what goes over the wire. Facts taken from the schemas of msgraph-metadata (v1.0-Prod.csdl of
 * 2026-08-20) and from the pages that are named; nothing here is known from the code that it judges.
 */
import type { Operation } from '../../testkit/graph/requests.ts';

/** Without the calls to Entra, which have a description of their own, and those that no page describes. */
export type DescribedOperation = Exclude<
  Operation,
  'discovery' | 'token' | 'unknown' | 'uploadStatus' | 'cancelUpload'
>;

/**
 * `string`, `boolean`, `integer`, `date-time`, `base64`, a choice (`low|normal|high`), or the name of a schema; `[]`
 * behind it makes a list of it, `?` allows null.
 */
type MemberType = string;

interface SchemaFacts {
  readonly required?: readonly string[];
  readonly members: Readonly<Record<string, MemberType>>;
}

export interface OperationFacts {
  readonly method: string;
  /** `{…}` is one encoded segment. */
  readonly path: string;
  /** Media type → schema of its body; `mime` is base64 of a whole message, `bytes` and `octets` anything. Null: there is no body. */
  readonly request: Readonly<Record<string, string>> | null;
  /** Names that the query may have. */
  readonly query?: readonly string[];
  /** Status of success → schema of its body; null: it is empty. */
  readonly answers: Readonly<Record<number, string | null>>;
}

const lists = ['$filter', '$select', '$top', '$orderby', '$skip', '$count', '$search', '$expand'];

/** Errors (4xx, 5xx) are the same everywhere: an `ODataError`, or whatever a gateway says. */
export const operations: Readonly<Record<DescribedOperation, OperationFacts>> = {
  // https://learn.microsoft.com/graph/api/user-sendmail
  sendMail: {
    method: 'POST',
    path: '/v1.0/users/{user}/sendMail',
    request: { 'application/json': 'sendMailRequest', 'text/plain': 'mime' },
    answers: { 202: null },
  },
  // https://learn.microsoft.com/graph/api/user-post-messages
  createMessage: {
    method: 'POST',
    path: '/v1.0/users/{user}/messages',
    request: { 'application/json': 'message', 'text/plain': 'mime' },
    answers: { 201: 'message' },
  },
  createFolderMessage: {
    method: 'POST',
    path: '/v1.0/users/{user}/mailFolders/{folder}/messages',
    request: { 'application/json': 'message', 'text/plain': 'mime' },
    answers: { 201: 'message' },
  },
  // https://learn.microsoft.com/graph/api/user-list-messages
  listMessages: {
    method: 'GET',
    path: '/v1.0/users/{user}/messages',
    request: null,
    query: lists,
    answers: { 200: 'messageCollection' },
  },
  listFolderMessages: {
    method: 'GET',
    path: '/v1.0/users/{user}/mailFolders/{folder}/messages',
    request: null,
    query: lists.slice(0, 5),
    answers: { 200: 'messageCollection' },
  },
  // https://learn.microsoft.com/graph/api/message-get
  getMessage: {
    method: 'GET',
    path: '/v1.0/users/{user}/messages/{message}',
    request: null,
    query: ['$select', '$expand'],
    answers: { 200: 'message' },
  },
  // https://learn.microsoft.com/graph/outlook-get-mime-message
  getContent: {
    method: 'GET',
    path: '/v1.0/users/{user}/messages/{message}/$value',
    request: null,
    answers: { 200: 'octets' },
  },
  // https://learn.microsoft.com/graph/api/message-update
  updateMessage: {
    method: 'PATCH',
    path: '/v1.0/users/{user}/messages/{message}',
    request: { 'application/json': 'message' },
    answers: { 200: 'message' },
  },
  // https://learn.microsoft.com/graph/api/message-delete
  deleteMessage: {
    method: 'DELETE',
    path: '/v1.0/users/{user}/messages/{message}',
    request: null,
    answers: { 204: null },
  },
  // https://learn.microsoft.com/graph/api/message-send: an empty body, and Content-Length: 0.
  send: {
    method: 'POST',
    path: '/v1.0/users/{user}/messages/{message}/send',
    request: null,
    answers: { 202: null },
  },
  // https://learn.microsoft.com/graph/api/message-post-attachments
  addAttachment: {
    method: 'POST',
    path: '/v1.0/users/{user}/messages/{message}/attachments',
    request: { 'application/json': 'fileAttachment' },
    answers: { 201: 'fileAttachment' },
  },
  listAttachments: {
    method: 'GET',
    path: '/v1.0/users/{user}/messages/{message}/attachments',
    request: null,
    // The query options of every OData list; the page of this one names none.
    query: ['$select', '$top', '$skip'],
    answers: { 200: 'attachmentCollection' },
  },
  deleteAttachment: {
    method: 'DELETE',
    path: '/v1.0/users/{user}/messages/{message}/attachments/{attachment}',
    request: null,
    answers: { 204: null },
  },
  // https://learn.microsoft.com/graph/api/attachment-createuploadsession
  createUploadSession: {
    method: 'POST',
    path: '/v1.0/users/{user}/messages/{message}/attachments/createUploadSession',
    request: { 'application/json': 'uploadRequest' },
    answers: { 201: 'uploadSession' },
  },
  // https://learn.microsoft.com/graph/outlook-large-attachments: the address is opaque, and no Authorization goes there.
  uploadRange: {
    method: 'PUT',
    path: '/{opaque}',
    request: { 'application/octet-stream': 'bytes' },
    answers: { 200: 'uploadRangeStatus', 201: null },
  },
};

const attachment = {
  id: 'string',
  contentType: 'string?',
  isInline: 'boolean',
  lastModifiedDateTime: 'date-time?',
  name: 'string?',
  size: 'integer',
} as const;

export const schemas: Readonly<Record<string, SchemaFacts>> = {
  sendMailRequest: { required: ['message'], members: { message: 'message', saveToSentItems: 'boolean?' } },
  message: {
    members: {
      id: 'string',
      categories: 'string[]',
      changeKey: 'string?',
      createdDateTime: 'date-time?',
      lastModifiedDateTime: 'date-time?',
      bccRecipients: 'recipient[]',
      body: 'itemBody',
      bodyPreview: 'string?',
      ccRecipients: 'recipient[]',
      conversationId: 'string?',
      from: 'recipient',
      hasAttachments: 'boolean?',
      importance: 'low|normal|high',
      internetMessageHeaders: 'internetMessageHeader[]',
      internetMessageId: 'string?',
      isDeliveryReceiptRequested: 'boolean?',
      isDraft: 'boolean?',
      isRead: 'boolean?',
      isReadReceiptRequested: 'boolean?',
      parentFolderId: 'string?',
      receivedDateTime: 'date-time?',
      replyTo: 'recipient[]',
      sender: 'recipient',
      sentDateTime: 'date-time?',
      subject: 'string?',
      toRecipients: 'recipient[]',
      webLink: 'string?',
      attachments: 'fileAttachment[]',
    },
  },
  messageCollection: { members: { value: 'message[]' } },
  recipient: { members: { emailAddress: 'emailAddress' } },
  emailAddress: { members: { address: 'string?', name: 'string?' } },
  itemBody: { members: { content: 'string?', contentType: 'text|html' } },
  internetMessageHeader: { members: { name: 'string?', value: 'string?' } },
  // The description has no way to say that the type must be named; the service does.
  fileAttachment: {
    required: ['@odata.type'],
    members: { ...attachment, contentBytes: 'base64?', contentId: 'string?', contentLocation: 'string?' },
  },
  attachmentCollection: { members: { value: 'fileAttachment[]' } },
  uploadRequest: { required: ['AttachmentItem'], members: { AttachmentItem: 'attachmentItem' } },
  attachmentItem: {
    members: {
      attachmentType: 'file|item|reference',
      contentId: 'string?',
      contentType: 'string?',
      isInline: 'boolean?',
      name: 'string?',
      size: 'integer?',
    },
  },
  uploadSession: {
    members: { expirationDateTime: 'date-time?', nextExpectedRanges: 'string[]', uploadUrl: 'string?' },
  },
  uploadRangeStatus: {
    members: {
      ExpirationDateTime: 'string',
      expirationDateTime: 'string',
      NextExpectedRanges: 'string[]',
      nextExpectedRanges: 'string[]',
    },
  },
  ODataError: { required: ['error'], members: { error: 'publicError' } },
  publicError: {
    required: ['code', 'message'],
    members: { code: 'string', message: 'string', target: 'string?', innerError: 'any', innererror: 'any' },
  },
};
