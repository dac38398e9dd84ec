/** Mailboxes: what is in Drafts, in Sent Items and in the Inbox, under which ids, and what the app may do with them. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Person {
  readonly address: string;
  readonly name: string;
}

export interface StoredAttachment {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly isInline: boolean;
  readonly contentId: string | null;
  readonly size: number;
  /** In pieces, as they came. */
  readonly chunks: readonly Buffer[];
}

/** The content of a message, however it came. */
export interface Content {
  readonly internetMessageId: string;
  readonly subject: string;
  readonly from: Person | null;
  /** Of JSON: who sends in the name of `from`. */
  readonly sender?: Person;
  readonly to: readonly Person[];
  readonly cc: readonly Person[];
  readonly bcc: readonly Person[];
  readonly replyTo: readonly Person[];
  readonly body: { readonly contentType: 'text' | 'html'; readonly content: string };
  readonly importance: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly attachments: readonly StoredAttachment[];
  /** The message as it was posted, Bcc and all; null if it came as JSON. */
  readonly mime: Buffer | null;
}

export const folders = ['drafts', 'sentitems', 'inbox'] as const;
export type Folder = (typeof folders)[number];

export interface StoredMessage extends Content {
  /** Changes when the message moves. */
  readonly id: string;
  /** Never changes. */
  readonly immutableId: string;
  /** `submitted`: accepted, and nowhere to be seen yet. */
  readonly folder: Folder | 'submitted';
  readonly isDraft: boolean;
  readonly createdAt: number;
  readonly sentAt: number | null;
  /** Of what came from outside. */
  readonly isRead: boolean;
}

type OpenMessage = { -readonly [K in keyof StoredMessage]: StoredMessage[K] };

export interface FakeMailbox {
  readonly address: string;
  /** Object id of its user; good in paths as well. */
  readonly id: string;
  /**
   * What the apps may do here. Changes at once. In Entra, Mail.ReadWrite gives `read` and `write`, Mail.Read gives `read`, and
   * Mail.ReadBasic gives `list`: mails without their bodies.
   */
  readonly permissions: { send: boolean; read: boolean; list: boolean; write: boolean };
  /** Other addresses that it may send as. In lower case. */
  readonly sendAs: Set<string>;
  /** Messages of a page at most, whatever `$top` says: https://learn.microsoft.com/graph/paging. */
  readonly pages: { most: number };
  /** What is in a folder now, oldest first. */
  in(folder: StoredMessage['folder']): StoredMessage[];
  /** A mail comes into the Inbox. `at`: ms since the epoch; default: now. */
  receive(mime: string | Buffer, at?: number): StoredMessage;
  /** A person moves a message out of sight. */
  remove(message: StoredMessage): void;
}

/** The mailbox with what the endpoints do to it. */
export interface OpenMailbox extends FakeMailbox {
  folderId(folder: Folder): string;
  find(id: string): StoredMessage | null;
  add(content: Content, folder: StoredMessage['folder'], now: number): StoredMessage;
  change(message: StoredMessage, content: Partial<Content>): StoredMessage;
  /** Into Sent Items: a new id, unless it is asked for by its immutable one. */
  settle(message: StoredMessage, now: number): void;
  /** Out of sight until `settle`. */
  submit(message: StoredMessage): void;
}

/** Ids with all the characters of base64: a client that does not encode them in a path asks for something else. */
export function newId(prefix: string): string {
  return `${prefix}${randomBytes(33).toString('base64')}/+${randomBytes(8).toString('base64')}`;
}

interface MailboxOptions {
  readonly sendAs?: readonly string[] | undefined;
  readonly now: () => number;
  /** Of a mail that comes. */
  readonly read: (mime: string | Buffer) => Content;
}

export function createMailbox(address: string, { sendAs = [], now, read }: MailboxOptions): OpenMailbox {
  const messages: OpenMessage[] = [];
  const folderIds = { drafts: newId('AQMkDR'), sentitems: newId('AQMkSI'), inbox: newId('AQMkIN') };
  const open = (message: StoredMessage): OpenMessage => {
    const found = messages.find(({ immutableId }) => immutableId === message.immutableId);
    if (found === undefined) throw new Error('The message is not in this mailbox.');
    return found;
  };
  const add = (content: Content, folder: StoredMessage['folder'], at: number): OpenMessage => {
    const message: OpenMessage = {
      ...content,
      id: newId('AAMkAG'),
      immutableId: newId('AAkALg'),
      folder,
      isDraft: folder === 'drafts',
      createdAt: at,
      sentAt: null,
      isRead: folder !== 'inbox',
    };
    messages.push(message);
    return message;
  };
  return {
    address,
    id: randomUUID(),
    permissions: { send: true, read: true, list: false, write: true },
    pages: { most: 1_000 },
    sendAs: new Set(sendAs.map((other) => other.toLowerCase())),
    in: (folder) => messages.filter((message) => message.folder === folder),
    folderId: (folder) => folderIds[folder],
    find: (id) =>
      messages.find((message) => message.folder !== 'submitted' && (message.id === id || message.immutableId === id)) ??
      null,
    add,
    receive: (mime, at = now()) => add(read(mime), 'inbox', at),
    change: (message, content) => Object.assign(open(message), content),
    remove(message) {
      messages.splice(messages.indexOf(open(message)), 1);
    },
    settle(message, now) {
      Object.assign(open(message), { folder: 'sentitems', isDraft: false, sentAt: now, id: newId('AAMkAG') });
    },
    submit(message) {
      open(message).folder = 'submitted';
    },
  };
}
