/** A test event to a webhook, from this process and at once: what `webhooks test` and the dashboard do. */
import type { WebhookEndpoint } from '../config/webhooks.ts';
import { reasonOf, testEndpoint } from '../webhooks/webhooks.ts';

export interface WebhookTry {
  /** Of HTTP; null if there was no answer. */
  readonly status: number | null;
  /** null: it was taken. */
  readonly failure: string | null;
}

export async function tryWebhook(endpoint: WebhookEndpoint): Promise<WebhookTry> {
  const answer = await testEndpoint(endpoint, Date.now());
  const status = answer.kind === 'answered' ? answer.status : null;
  const isTaken = status !== null && status >= 200 && status <= 299;
  return { status, failure: isTaken ? null : reasonOf(answer) };
}
