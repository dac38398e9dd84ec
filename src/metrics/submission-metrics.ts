/** Counts what submission by SMTP reports, and shows what it holds at the time of a scrape. No user and no address is a label. */
import type { Registry } from '@prometheus-io/client';
import type { SubmissionEvent, SubmissionState } from '../submission/events.ts';
import { submissionMetrics } from './catalogue.ts';
import { metersOf } from './meters.ts';

export interface SubmissionMetrics {
  readonly onEvent: (event: SubmissionEvent) => void;
  show(state: SubmissionState): void;
}

export function createSubmissionMetrics(registry: Registry): SubmissionMetrics {
  const meters = metersOf(submissionMetrics, registry);
  for (const outcome of ['accepted', 'duplicate']) meters.smtp_submissions_total.inc({ outcome }, 0);
  for (const reason of ['wrong-login', 'login-blocked']) meters.smtp_logins_failed_total.inc({ reason }, 0);
  return {
    onEvent(event) {
      // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others are not counted
      switch (event.event) {
        case 'submitted':
          meters.smtp_submissions_total.inc({ outcome: event.duplicate ? 'duplicate' : 'accepted' });
          return meters.smtp_reply_seconds.observe(event.durationMs / 1_000);
        case 'submission-refused':
          return meters.smtp_submissions_total.inc({ outcome: event.reason });
        case 'submission-aborted':
          return meters.smtp_submissions_total.inc({ outcome: 'aborted' });
        case 'login-failed':
          return meters.smtp_logins_failed_total.inc({ reason: event.reason });
        default:
      }
    },

    show({ clients, maxClients, bytesHeld, maxBytes }) {
      meters.smtp_clients.set(clients);
      meters.smtp_clients_limit.set(maxClients);
      meters.smtp_held_bytes.set(bytesHeld);
      meters.smtp_held_limit_bytes.set(maxBytes);
    },
  };
}
