/** One attempt to deliver: is it its turn, what does the receiver say, what follows, and what is told of it. */
import { unreachable } from '../errors.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';
import type { Deliveries, Delivery, DeliveryProcessor, DeliveryVerdict } from '../queue/deliveries/deliveries.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import { judge } from './policy.ts';
import type { Sender } from './sender.ts';

/** What is told of a webhook. */
export type WebhookEvent = Extract<ProcessEvent, { readonly event: `webhook-${string}` }>;

export interface DeliverTools {
  readonly deliveries: Deliveries;
  readonly sender: Sender;
  readonly endpoint: () => WebhookEndpoint;
  readonly tell: (event: WebhookEvent) => void;
  readonly now: () => number;
  readonly random: () => number;
}

/** How long a later event of a message waits before it looks again, in ms: as long as it has waited, within these. */
const behindMs = { least: 500, most: 300_000 };

export function createDeliver({ deliveries, sender, endpoint, tell, now, random }: DeliverTools): DeliveryProcessor {
  const noted = async (delivery: Delivery, outcome: 'failed' | 'dead', reason: string): Promise<void> => {
    const { id: webhook } = endpoint();
    const { failuresBefore, switchedOff } = await deliveries.note(webhook, delivery, outcome, reason);
    if (failuresBefore === 0) tell({ event: 'webhook-failed', webhook, reason });
    if (outcome === 'dead') tell({ event: 'webhook-dead', webhook, eventId: delivery.eventId, reason });
    if (switchedOff) tell({ event: 'webhook-off', webhook, reason: 'nothing was delivered for three days' });
  };

  return async (delivery, attempt): Promise<DeliveryVerdict> => {
    const { id: webhook, ordered } = endpoint();
    if (ordered && (await deliveries.isBehind(webhook, delivery))) {
      const waited = Math.max(behindMs.least, now() - delivery.at);
      return { kind: 'later', delayMs: Math.min(waited, behindMs.most) };
    }
    const answer = await sender.send(endpoint(), { id: delivery.eventId, body: delivery.body });
    const verdict = judge(answer, attempt, random);
    switch (verdict.kind) {
      case 'delivered': {
        const { failuresBefore: failures } = await deliveries.note(webhook, delivery, 'delivered', '');
        if (failures > 0) tell({ event: 'webhook-recovered', webhook, failures });
        return { kind: 'delivered' };
      }
      case 'retry':
        await noted(delivery, 'failed', verdict.reason);
        if (verdict.pauseMs !== null) await deliveries.pauseFor(webhook, verdict.pauseMs);
        return verdict;
      case 'dead':
        await noted(delivery, 'dead', verdict.reason);
        return verdict;
      case 'gone':
        if (await deliveries.switchOff(webhook, 'gone', 'HTTP 410')) {
          tell({ event: 'webhook-off', webhook, reason: 'the endpoint answered 410 Gone' });
        }
        return { kind: 'hand-back' };
      default:
        return unreachable(verdict);
    }
  };
}
