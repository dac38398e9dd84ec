/** What tests of reading mailboxes share: mails that are found, messages that were sent, and what is told of them. */
import type { BouncesEvent } from '../../src/bounces/events.ts';
import { defaultMailboxTiming, type RoundTools } from '../../src/bounces/round.ts';
import type { Found, MailSource, ReadingOptions } from '../../src/bounces/source.ts';
import { openQueues } from '../../src/queue/open.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { report } from './reports/case.ts';

export const never = new AbortController().signal;
export const dayMs = 86_400_000;
const anna = 'anna@example.net';

/** No report, whatever it says. */
export const plain = (n: number): string =>
  `From: Ben <ben@example.net>\nSubject: Hello ${n}\n\nundeliverable mail, failure notice\n`;

const statusOf = (recipient: string): string =>
  `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; ${recipient}\nAction: failed\nStatus: 5.1.1\n`;

/** About a message to anna. */
export const reportOn = (messageId: string, recipient = anna): string =>
  report(statusOf(recipient), `Message-ID: ${messageId}\n`);

export function optionsOf(more: Partial<ReadingOptions> = {}): ReadingOptions {
  return {
    after: null,
    since: new Date(Date.now() - 7 * dayMs),
    oneByOne: false,
    skip: null,
    signal: never,
    ...more,
  };
}

export async function all(source: MailSource, options = optionsOf()): Promise<Found[]> {
  const found: Found[] = [];
  for await (const each of source.read(options)) found.push(each);
  return found;
}

export function mailsOf(found: readonly Found[]): string[] {
  return found.flatMap((each) => (each.kind === 'mail' ? [Buffer.from(each.bytes).toString('latin1')] : []));
}

/** A worker that sends to anna, and tools for readings of which all is told. */
export async function sentMessages() {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const { events } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  await startWorker({ prefix, config: configOf({ relay: {} }) });
  const producer = testProducer(prefix);
  const send = async (id: string): Promise<string> => {
    await producer.send({ id, from: 'shop@example.com', to: anna, text: 'x' });
    await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be sent` });
    return (await producer.status(id))!.messageId!;
  };
  const bounced = async (): Promise<string[]> => {
    const { events: read } = await events.read(start, { count: 1_000, waitMs: 0, signal: never });
    return read.flatMap((each) => (each.type === 'message.bounced' ? [each.id] : []));
  };
  const told: BouncesEvent[] = [];
  const toolsOf = (more: Partial<RoundTools> = {}): RoundTools => ({
    notes: operator.bounceNotes,
    mailboxes: operator.mailboxes,
    bouncePaths: [],
    suppressForMs: null,
    emit: (event) => told.push(event),
    now: Date.now,
    timing: { ...defaultMailboxTiming, everyMs: 0, leaseMs: 60_000 },
    ...more,
  });
  return { prefix, operator, producer, send, bounced, told, toolsOf };
}
