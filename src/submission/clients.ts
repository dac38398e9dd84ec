/** The connected clients: how many, how long each has been in its present phase, and what ends those that hold a place for nothing. */
import type { Socket } from 'node:net';
import type { SMTPServer } from 'smtp-server';
import { replies, type ReplyName } from './replies.ts';

export type Connection = SMTPServer['connections'] extends Set<infer Of> ? Of : never;

/** `greeting`: TLS or the greeting is under way. `deciding`: the client waits for the reply to its message. */
type Phase = 'greeting' | 'command' | 'data' | 'deciding';

export interface Client {
  readonly id: string;
  readonly address: string;
  readonly socket: Socket;
  readonly connection: Connection;
  /** The name of the login; null before it. */
  login: string | null;
  /** It may send without one. */
  readonly isKnown: boolean;
  readonly connectedAt: number;
  phase: Phase;
  /** When the phase began, or the last reply was sent. */
  since: number;
  /** Bytes read at `since`, in the phase `data`. */
  readBefore: number;
  /** Replies since the last message, those to accepted recipients not counted. */
  commands: number;
}

export interface Clients {
  readonly count: number;
  get(id: string): Client | undefined;
  /** Clients from this address that have not logged in. */
  strangersFrom(address: string): number;
  add(client: Omit<Client, 'phase' | 'since' | 'readBefore' | 'commands' | 'connectedAt' | 'login'>): void;
  remove(id: string): void;
  /** Says why, and closes the connection. */
  dismiss(client: Client, reason: ReplyName): void;
  /** Ends what has taken too long. To be called every few seconds. */
  sweep(): void;
  all(): Iterable<Client>;
}

/** Until the greeting is out, and TLS is up. */
const greetingMs = 30_000;
/** From the connection to the login. */
const loginMs = 60_000;
/** RFC 5321 section 4.5.3.2.7: at least 5 minutes from one command to the next. Single bytes do not prolong it. */
export const commandMs = 5 * 60_000;
/** Of the data, within a minute. Postfix asks for as much (smtpd_min_data_rate). */
const minBytesPerSecond = 500;
const dataWindowMs = 60_000;
/** Commands without a message, recipients not counted. */
const maxCommands = 200;

/** `now` is monotonic, in ms. `dismissed` is told whom the sweep, or too many commands, ended. */
export function createClients(now: () => number, dismissed: (client: Client, reason: ReplyName) => void): Clients {
  const clients = new Map<string, Client>();
  const dismiss = (client: Client, reason: ReplyName): void => {
    const { code, text } = replies[reason];
    // smtp-server closes the connection behind a 421.
    client.connection.send(code, text, false);
    client.connection.close();
  };
  const end = (client: Client, reason: ReplyName): void => {
    dismissed(client, reason);
    dismiss(client, reason);
  };
  /** What has lasted too long, or null. */
  const overdue = (client: Client): ReplyName | null => {
    const { phase, since, connectedAt, login, isKnown, socket } = client;
    const passed = now() - since;
    if (phase === 'greeting') return passed > greetingMs ? 'idle' : null;
    if (phase === 'deciding') return null;
    if (login === null && !isKnown && now() - connectedAt > loginMs) return 'idle';
    if (phase === 'command') return passed > commandMs ? 'idle' : null;
    if (passed < dataWindowMs) return null;
    if (socket.bytesRead - client.readBefore < (minBytesPerSecond * passed) / 1_000) return 'too-slow';
    client.since = now();
    client.readBefore = socket.bytesRead;
    return null;
  };
  return {
    get count() {
      return clients.size;
    },
    get: (id) => clients.get(id),
    all: () => clients.values(),
    strangersFrom(address) {
      let count = 0;
      for (const client of clients.values()) {
        if (client.address === address && client.login === null && !client.isKnown) count += 1;
      }
      return count;
    },

    add(about) {
      const client: Client = {
        ...about,
        login: null,
        connectedAt: now(),
        phase: 'greeting',
        since: now(),
        readBefore: 0,
        commands: 0,
      };
      clients.set(client.id, client);
      watchReplies(client, now, () => end(client, 'too-many-commands'));
    },

    remove: (id) => void clients.delete(id),
    dismiss,

    sweep() {
      for (const client of clients.values()) {
        if (client.socket.destroyed) clients.delete(client.id);
        const reason = overdue(client);
        if (reason !== null) end(client, reason);
      }
    },
  };
}

/** Ours, and those of smtp-server that another code fits better, have their enhanced status code in front. */
const own = /^[245]\.\d{1,3}\.\d{1,3} /;

/**
 * Stands between smtp-server and its socket: all that it says goes through `send`. A reply of ours keeps its own enhanced status code, AUTH is
 * offered only where it is allowed, and each reply marks that the client has done something.
 */
function watchReplies(client: Client, now: () => number, tooMany: () => void): void {
  const { connection } = client;
  const send = connection.send.bind(connection);
  let ended = false;
  connection.send = (code, data, context) => {
    client.phase = code === 354 ? 'data' : 'command';
    client.since = now();
    client.readBefore = client.socket.bytesRead;
    client.commands += 1;
    if (client.commands > maxCommands && code !== 354 && !ended) {
      ended = true;
      return tooMany();
    }
    // Before TLS a password must not be asked for (RFC 4954 section 4): smtp-server refuses it, and offers it all the same.
    if (Array.isArray(data)) {
      const hidesAuth = !connection.session.secure;
      return send(code, hidesAuth ? data.filter((line) => !line.startsWith('AUTH ')) : data, context);
    }
    if (code === 538) return send(code, '5.7.11 Must issue a STARTTLS command first', false);
    return send(code, data, typeof data === 'string' && own.test(data) ? false : context);
  };
}
