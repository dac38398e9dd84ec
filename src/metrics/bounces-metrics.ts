/** Counts what reading delivery reports comes to. No connector and no address is a label. */
import type { Registry } from '@prometheus-io/client';
import type { BouncesEvent } from '../bounces/events.ts';
import { bouncesMetrics } from './entry-tables.ts';
import { metersOf } from './meters.ts';

export interface BouncesMetrics {
  readonly onEvent: (event: BouncesEvent) => void;
  /** ms since the epoch; null while no mailbox is read. */
  show(oldestReadAt: number | null): void;
}

const outcomes = ['matched', 'repeated', 'unmatched', 'skipped'] as const;

export function createBouncesMetrics(registry: Registry): BouncesMetrics {
  const meters = metersOf(bouncesMetrics, registry);
  for (const outcome of outcomes) meters.bounces_total.inc({ outcome }, 0);
  for (const outcome of ['ok', 'failed']) meters.mailbox_readings_total.inc({ outcome }, 0);
  return {
    onEvent(event) {
      // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- events of others are not counted here
      switch (event.event) {
        case 'bounce':
          return meters.bounces_total.inc({ outcome: event.recipients > 0 ? 'matched' : 'repeated' });
        case 'bounce-unmatched':
          // Most mails of a mail system are about other things: only what claims to be a report is counted.
          return event.why === 'no-report' ? undefined : meters.bounces_total.inc({ outcome: 'unmatched' });
        case 'bounce-skipped':
          return meters.bounces_total.inc({ outcome: 'skipped' });
        case 'mailbox-read':
          return meters.mailbox_readings_total.inc({ outcome: 'ok' });
        case 'mailbox-failed':
          return meters.mailbox_readings_total.inc({ outcome: 'failed' });
        default:
      }
    },
    show(oldestReadAt) {
      // A reload may leave none: no comparison with NaN is true.
      meters.mailbox_oldest_read_timestamp_seconds.set(oldestReadAt === null ? NaN : oldestReadAt / 1_000);
    },
  };
}
