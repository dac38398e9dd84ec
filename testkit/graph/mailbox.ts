/** Mailboxes: what is in Drafts and in Sent Items, under which ids, and what the app may do with them. */
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

export interface StoredMessage extends Content {
  /** Changes when the message moves. */
  readonly id: string;
  /** Never changes. */
  readonly immutableId: string;
  /** `submitted`: accepted, and nowhere to be seen yet. */
  readonly folder: 'drafts' | 'sentitems' | 'submitted';
  readonly isDraft: boolean;
  readonly createdAt: number;
  readonly sentAt: number | null;
}

type OpenMessage = { -readonly [K in keyof StoredMessage]: StoredMessage[K] };

export interface FakeMailbox {
  readonly address: string;
  /** Object id of its user; good in paths as well. */
  readonly id: string;
  /** What the apps may do here. Changes at once. In Entra, Mail.ReadWrite gives `read` and `write`. */
  readonly permissions: { send: boolean; read: boolean; write: boolean };
  /** Other addresses that it may send as. In lower case. */
  readonly sendAs: Set<string>;
  /** What is in a folder now, oldest first. */
  in(folder: StoredMessage['folder']): StoredMessage[];
}

/** The mailbox with what the endpoints do to it. */
export interface OpenMailbox extends FakeMailbox {
  folderId(folder: 'drafts' | 'sentitems'): string;
  find(id: string): StoredMessage | null;
  add(content: Content, folder: StoredMessage['folder'], now: number): StoredMessage;
  change(message: StoredMessage, content: Partial<Content>): StoredMessage;
  remove(message: StoredMessage): void;
  /** Into Sent Items: a new id, unless it is asked for by its immutable one. */
  settle(message: StoredMessage, now: number): void;
  /** Out of sight until `settle`. */
  submit(message: StoredMessage): void;
}

/** Ids with all the characters of base64: a client that does not encode them in a path asks for something else. */
export function newId(prefix: string): string {
  return `${prefix}${randomBytes(33).toString('base64')}/+${randomBytes(8).toString('base64')}`;
}

export function createMailbox(address: string, sendAs: readonly string[] = []): OpenMailbox {
  const messages: OpenMessage[] = [];
  const folderIds = { drafts: newId('AQMkDR'), sentitems: newId('AQMkSI') };
  const open = (message: StoredMessage): OpenMessage => {
    const found = messages.find(({ immutableId }) => immutableId === message.immutableId);
    if (found === undefined) throw new Error('The message is not in this mailbox.');
    return found;
  };
  return {
    address,
    id: randomUUID(),
    permissions: { send: true, read: true, write: true },
    sendAs: new Set(sendAs.map((other) => other.toLowerCase())),
    in: (folder) => messages.filter((message) => message.folder === folder),
    folderId: (folder) => folderIds[folder],
    find: (id) =>
      messages.find((message) => message.folder !== 'submitted' && (message.id === id || message.immutableId === id)) ??
      null,
    add(content, folder, now) {
      const message: OpenMessage = {
        ...content,
        id: newId('AAMkAG'),
        immutableId: newId('AAkALg'),
        folder,
        isDraft: folder === 'drafts',
        createdAt: now,
        sentAt: null,
      };
      messages.push(message);
      return message;
    },
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
