/** What an operator does with webhooks: tests one, delivers its dead letters again, switches it on, forgets one that is gone. */
import type { Deliveries } from '../queue/deliveries/deliveries.ts';
import type { Recorded } from './audit.ts';

export interface WebhookActions {
  /** Sends a test event. `resultOf`: null is success. */
  testWebhook<Answer>(
    id: string,
    send: () => Promise<Answer>,
    resultOf: (answer: Answer) => string | null,
  ): Promise<Answer>;
  /** One dead letter, or all. → how many. */
  retryWebhook(id: string, eventId: string | null): Promise<number>;
  /** Deletes one dead letter, or all. → how many. */
  dropWebhookDead(id: string, eventId: string | null, reason: string): Promise<number>;
  /** → whether it was off. */
  enableWebhook(id: string): Promise<boolean>;
  /** All that is kept of it. */
  dropWebhook(id: string): Promise<void>;
}

export function createWebhookActions(deliveries: Deliveries, recorded: Recorded): WebhookActions {
  return {
    testWebhook: (target, send, resultOf) =>
      recorded({ action: 'webhook-test', target }, send, (answer) => {
        const failure = resultOf(answer);
        return failure === null ? { result: 'done' } : { result: 'failed', detail: failure };
      }),
    retryWebhook: (target, eventId) =>
      recorded(
        { action: 'webhook-retry', target, detail: eventId },
        () => deliveries.retry(target, eventId),
        (count) => ({ result: count > 0 ? 'done' : 'not-found', detail: eventId ?? `${count} events` }),
      ),
    dropWebhookDead: (target, eventId, reason) =>
      recorded(
        { action: 'webhook-drop-dead', target, detail: eventId, reason },
        () => deliveries.dropDead(target, eventId),
        (count) => ({ result: count > 0 ? 'done' : 'not-found', detail: eventId ?? `${count} events` }),
      ),
    enableWebhook: (target) =>
      recorded(
        { action: 'webhook-enable', target },
        () => deliveries.switchOn(target),
        (wasOff) => ({ result: wasOff ? 'done' : 'refused' }),
      ),
    dropWebhook: (target) => recorded({ action: 'webhook-drop', target }, () => deliveries.forget(target)),
  };
}
