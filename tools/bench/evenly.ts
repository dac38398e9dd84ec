/** Sends messages at times fixed in advance, for the rows that measure latency. */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../testkit/until.ts';
import { mailOf, type BenchMail } from './mail.ts';

export interface EvenSending {
  /** Recipient → when it was sent, until the server takes it out. */
  readonly sentAt: Map<string, number>;
  readonly perSecond: number;
  readonly ms: number;
  readonly senders: number;
  /** Begins the recipients of this series. */
  readonly tag: string;
}

/** Resolves when all have arrived. At fixed times a slow answer delays no other message, and so hides no wait. */
export async function sendEvenly(
  send: (mail: BenchMail) => Promise<unknown>,
  { sentAt, perSecond, ms, senders, tag }: EvenSending,
): Promise<void> {
  const count = Math.round((perSecond * ms) / 1_000);
  const startedAt = performance.now();
  const sending: Promise<unknown>[] = [];
  for (let nth = 0; nth < count; nth += 1) {
    const waitMs = startedAt + (nth * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await pause(waitMs);
    const to = `${tag}${nth}@example.net`;
    sentAt.set(to, performance.now());
    sending.push(send({ ...mailOf(nth, undefined, senders), to }));
  }
  await Promise.all(sending);
  await until(() => sentAt.size === 0, { what: 'every message to arrive', timeoutMs: 60_000 });
}
