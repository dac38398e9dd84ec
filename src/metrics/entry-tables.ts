/** The metrics of what moves messages beside workers, in the form of catalogue.ts, which lists them with all others. */

const none: readonly string[] = [];

export const bouncesMetrics = {
  bounces_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Delivery reports that were read from mailboxes, by what became of them.',
  },
  mailbox_readings_total: { type: 'counter', labels: ['outcome'], help: 'Readings of mailboxes.' },
  mailbox_oldest_read_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'When the mailbox was last read, by any process, that is read longest ago; 0 if one never was.',
  },
} as const;

export const outboxMetrics = {
  outbox_rows_total: { type: 'counter', labels: ['outcome'], help: 'Rows of the outbox, by what became of them.' },
  outbox_waiting_rows: { type: 'gauge', labels: none, help: 'Rows that wait to be relayed, 100,000 at most.' },
  outbox_problem_rows: { type: 'gauge', labels: none, help: 'Rows that wait for an operator, 100,000 at most.' },
  outbox_oldest_row_seconds: { type: 'gauge', labels: none, help: 'Age of the first row that waits to be relayed.' },
  outbox_database_up: { type: 'gauge', labels: none, help: '1 while the relay reaches its database.' },
} as const;
