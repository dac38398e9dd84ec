/** Signs a delivery as Standard Webhooks 1.0.0 asks (github.com/standard-webhooks, spec/standard-webhooks.md). */
import { createHmac } from 'node:crypto';

export interface Signed {
  readonly 'webhook-id': string;
  /** Seconds since the epoch: a receiver refuses what is old, so that it cannot be sent again by others. */
  readonly 'webhook-timestamp': string;
  /** One signature for each secret, so that a receiver that has either of two can verify it. */
  readonly 'webhook-signature': string;
}

export function sign(id: string, body: string, secrets: readonly string[], now: number): Signed {
  const timestamp = String(Math.floor(now / 1_000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
