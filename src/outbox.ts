/** `postlane/outbox`: for an application that stores a message in its own database, in the transaction that it belongs to. */
export { outboxInsert, type OutboxInsert, type OutboxInsertOptions } from './outbox/insert.ts';
export { outboxMigration, outboxNotifyMigration } from './outbox/table.ts';
