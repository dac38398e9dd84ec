/** One connection to PostgreSQL. The package `pg` is the application's choice: it is loaded here, when it is first needed. */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import type { Client } from 'pg';
import { settlesWithin } from '../async/timeout.ts';
import type { DatabaseSettings, DatabaseTls } from '../config/outbox.ts';
import { asError, printable } from '../errors.ts';
import { notifyChannel } from './table.ts';

export interface Database {
  /** Rejects if the connection is gone, or the server refuses. */
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  /** Ends the connection; the server rolls back what was not committed. Never rejects. */
  close(): Promise<void>;
}

export type OpenedDatabase =
  | { readonly ok: true; readonly database: Database }
  /** `missing-driver` does not pass by itself. */
  | { readonly ok: false; readonly problem: 'missing-driver' | 'unreachable'; readonly detail: string };

export interface DatabaseOptions {
  /** Until the server must have answered, in ms. */
  readonly timeoutMs: number;
  /** Called when the trigger of the table says so. Without it, the connection does not listen. */
  readonly onNotify?: (() => void) | undefined;
}

/** A server that vanished without a word is noticed by probes, which begin after so long. */
const keepAliveMs = 15_000;
const closeMs = 1_000;
const maxDetailChars = 300;

const missingDriver =
  'The package `pg` is not installed. It is an optional peer of postlane: `npm install pg` beside it';

/** Never rejects. */
export async function openDatabase(settings: DatabaseSettings, options: DatabaseOptions): Promise<OpenedDatabase> {
  const { timeoutMs, onNotify } = options;
  const driver = await loadDriver();
  if (driver === null) return { ok: false, problem: 'missing-driver', detail: missingDriver };
  const { host, port, database: name, user, password, options: session, tls } = settings;
  const client = new driver({
    host,
    port,
    database: name,
    user,
    // Of an empty text, pg would take PGPASSWORD; without a password, a file of the user.
    password: () => password ?? '',
    ssl: tls === null ? false : tlsOptions(tls, host),
    sslnegotiation: 'postgres',
    client_encoding: 'utf8',
    application_name: 'postlane-outbox',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
  });
  // Where these are empty, pg takes PGOPTIONS and PGREPLICATION, which may be meant for other programs.
  const { connectionParameters } = client as Client & { readonly connectionParameters: object };
  Object.assign(connectionParameters, { options: session, replication: null });
  // A connection that is lost while nothing is asked is an event, which would end the process; the next query says so.
  client.on('error', () => undefined);
  const database: Database = {
    async query<Row extends object>(text: string, values: readonly unknown[] = []) {
      const { rows } = await client.query<Row>(text, [...values]);
      return rows;
    },
    async close() {
      await settlesWithin(client.end(), closeMs);
    },
  };
  try {
    await client.connect();
    if (onNotify !== undefined) {
      client.on('notification', onNotify);
      await client.query(`LISTEN ${notifyChannel}`);
    }
    return { ok: true, database };
  } catch (thrown) {
    await database.close();
    return { ok: false, problem: 'unreachable', detail: databaseDetail(thrown) };
  }
}

async function loadDriver(): Promise<typeof Client | null> {
  try {
    const { default: pg } = await import('pg');
    return pg.Client;
  } catch (thrown) {
    if ((asError(thrown) as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return null;
    throw thrown;
  }
}

/** Verified always, and the name too: pg would compare a certificate with `localhost` where the host is an address. */
function tlsOptions({ ca, cert, key, servername }: DatabaseTls, host: string): ConnectionOptions {
  return {
    rejectUnauthorized: true,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(servername ?? host, certificate),
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  };
}

/** What the server or the network said. The message alone: other fields of an error quote rows. */
export function databaseDetail(thrown: unknown): string {
  const error = asError(thrown) as Error & { readonly code?: unknown; readonly errors?: readonly unknown[] };
  // Of a host with several addresses.
  const [first] = error.errors ?? [];
  const message = error.message === '' && first !== undefined ? asError(first).message : error.message;
  switch (error.code) {
    case '42P01':
      return `${printable(message, maxDetailChars)}: the table is missing; run the text of \`postlane outbox --print-migration\``;
    case '42703':
      return `${printable(message, maxDetailChars)}: the table is of another release; run the text of \`postlane outbox --print-migration\``;
    default:
      return printable(message, maxDetailChars) || 'the connection failed';
  }
}

/** `host:port/name`: what may be shown of a database. */
export function shownDatabase({ host, port, database }: DatabaseSettings): string {
  return `${host}:${port}/${printable(database, 63)}`;
}
