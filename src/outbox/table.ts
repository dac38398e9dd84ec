/** The table of the outbox in the application's database: its migration, and what a row may be. PostgreSQL 13 or later. */

/** The form of a row that `outboxInsert` writes. A relay leaves rows of a later form to a later release. */
export const rowForm = 1;

/** Of a message as JSON, in bytes; the table refuses more. */
export const maxRowBytes = 64 * 1024 * 1024;

/** What the trigger of `outboxNotifyMigration` notifies, and relays listen to. */
export const notifyChannel = 'postlane_outbox';

/**
 * Creates the table, or changes nothing where it exists. Without schema: the first of the search path gets it. Text and not jsonb, which has no
 * NUL, and whose size PostgreSQL only knows after it has unpacked it. No key on `id`: two rows of one id are for the relay to judge, and
 * writers never wait for one another. `now()` is the beginning of the writer's transaction.
 */
export const outboxMigration = `-- Postlane outbox, version 1
CREATE TABLE IF NOT EXISTS postlane_outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text NOT NULL DEFAULT gen_random_uuid()::text CHECK (id ~ '^[A-Za-z0-9_-]{1,128}$'),
  message text NOT NULL CHECK (octet_length(message) <= ${maxRowBytes}) CHECK (json_typeof(message::json) = 'object'),
  form smallint NOT NULL DEFAULT ${rowForm},
  given_id boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  due_at timestamptz NOT NULL DEFAULT now(),
  tries integer NOT NULL DEFAULT 0,
  problem text,
  detail text,
  released_at timestamptz
) WITH (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  toast.autovacuum_vacuum_scale_factor = 0,
  toast.autovacuum_vacuum_threshold = 1000
);
CREATE INDEX IF NOT EXISTS postlane_outbox_waiting ON postlane_outbox (seq) WHERE problem IS NULL;
CREATE INDEX IF NOT EXISTS postlane_outbox_problems ON postlane_outbox (seq) WHERE problem IS NOT NULL;
`;

/** Optional: wakes relays that have `outbox.listen` at once. Its price: PostgreSQL lets transactions that notify commit one after another. */
export const outboxNotifyMigration = `-- Postlane outbox, notification, version 1
CREATE OR REPLACE FUNCTION postlane_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_notify(''${notifyChannel}'', ''''); RETURN NULL; END';
DROP TRIGGER IF EXISTS postlane_outbox_notify ON postlane_outbox;
CREATE TRIGGER postlane_outbox_notify AFTER INSERT ON postlane_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION postlane_outbox_notify();
`;
