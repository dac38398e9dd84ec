/** Counts what a relay of an outbox reports, and shows what its table had at the last count. */
import type { Registry } from '@prometheus-io/client';
import type { OutboxEvent, OutboxState } from '../outbox/events.ts';
import { outboxMetrics } from './entry-tables.ts';
import { metersOf } from './meters.ts';

export interface OutboxMetrics {
  readonly onEvent: (event: OutboxEvent) => void;
  show(state: OutboxState): void;
}

export function createOutboxMetrics(registry: Registry): OutboxMetrics {
  const meters = metersOf(outboxMetrics, registry);
  for (const outcome of ['relayed', 'duplicate', 'deferred']) meters.outbox_rows_total.inc({ outcome }, 0);
  return {
    onEvent(event) {
      // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others are not counted
      switch (event.event) {
        case 'outbox-relayed':
          meters.outbox_rows_total.inc({ outcome: 'relayed' }, event.relayed);
          meters.outbox_rows_total.inc({ outcome: 'duplicate' }, event.duplicates);
          return meters.outbox_rows_total.inc({ outcome: 'deferred' }, event.deferred);
        case 'outbox-problem':
          return meters.outbox_rows_total.inc({ outcome: event.problem });
        default:
      }
    },

    show({ databaseUp, counts }) {
      meters.outbox_database_up.set(databaseUp ? 1 : 0);
      if (counts === null) return;
      meters.outbox_waiting_rows.set(counts.waiting);
      meters.outbox_problem_rows.set(counts.problems);
      meters.outbox_oldest_row_seconds.set(counts.oldestMs / 1_000);
    },
  };
}
