/** Row: search by recipient among a million settled messages, and what an entry of the index takes. */
import { openQueues } from '../../../src/queue/open.ts';
import { defaultIndex } from '../../../src/queue/journal/index-entries.ts';
import type { NewRow } from '../../../src/queue/ledger/ledger.ts';
import { newMessageId } from '../../../src/message/identity.ts';
import { randomUUID } from 'node:crypto';
import { percentile } from '../statistics.ts';
import { startStore } from '../store.ts';
import { finding, type Row } from './row.ts';

/** Rows that are written at once. */
const atOnce = 500;
const searches = 2_000;
/** Messages of a recipient on average. */
const perRecipient = 2;
/** All of one day, which the default number of buckets is for. */
const dayMs = 86_400_000;

export const search: Row = {
  id: 'search',
  title: 'search by recipient among 1,000,000 settled messages (--quick: 50,000)',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const store = disposables.add(await startStore());
    const { client } = store;
    const index = { ...defaultIndex, messageId: false };
    const open = openQueues(client, { prefix: '{postlane}', index: () => index, retentionMs: () => 7 * dayMs });
    const count = sizes.backlog;
    const people = Math.ceil(count / perRecipient);
    const start = Math.floor(Date.now() / dayMs) * dayMs;
    const settle = async (n: number): Promise<void> => {
      const acceptedAt = start + Math.floor((n * (dayMs - 1)) / count);
      const address = `recipient-${n % people}@customer-${n % 97}.example.net`;
      const id = newMessageId(acceptedAt, randomUUID());
      const recipients = [{ address, outcome: 'pending', code: null, reply: null }] as const;
      const about = { id, connector: 'relay', rule: 'exact', messageId: `<${id}.0123456789@example.com>`, acceptedAt };
      const row: NewRow = { ...about, recipients, deadline: acceptedAt + dayMs, from: 'sender@example.com' };
      await open.ledger.create(row);
      await open.ledger.settle(row, null, {
        state: 'sent',
        recipients: [{ address, outcome: 'accepted', code: '250', reply: '2.0.0 Ok: queued as 4XyZ12abcD' }],
        entry: {
          at: acceptedAt,
          event: 'sent',
          connector: 'relay',
          attempt: 1,
          detail: '2.0.0 Ok: queued as 4XyZ12abcD',
        },
        retryAt: null,
        reason: null,
        retentionMs: 7 * dayMs,
        deadLetter: null,
        countAttempt: true,
        connectorWorks: true,
        reached: 1,
      });
    };
    await store.fill(async () => {
      for (let from = 0; from < count; from += atOnce) {
        const some = Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => settle(from + i));
        await Promise.all(some);
        if (from % (count / 5) < atOnce) progress(`search: ${from} of ${count} messages are settled`);
      }
    });

    const { entries, bytes } = await indexSize(client);
    const times: number[] = [];
    let found = 0;
    for (let i = 0; i < searches; i += 1) {
      const n = Math.floor(Math.random() * people);
      // Of the persons that this number names the one with the number itself has a message for certain.
      const recipient = `Recipient-${n}@customer-${n % 97}.example.net`;
      const begins = performance.now();
      const { rows } = await open.find({ recipient, limit: 50 });
      times.push(performance.now() - begins);
      if (rows.length > 0) found += 1;
    }
    const about = `${searches} searches, ${found} of them found something; ${entries} entries`;
    const against = `${count} messages`;
    return {
      findings: [
        finding(
          { what: 'search by recipient, p99', against, measured: percentile(times, 99), unit: 'ms' },
          { kind: 'at most', value: 50 },
          `p50 ${percentile(times, 50).toFixed(2)} ms, at most ${Math.max(...times).toFixed(1)} ms; ${about}`,
        ),
        finding(
          { what: 'index, bytes for each message and field', against, measured: bytes / entries, unit: '' },
          { kind: 'at most', value: 66 },
          `${(bytes / 1e6).toFixed(1)} MB; found ${found} of ${searches}`,
        ),
      ],
      figures: [],
    };
  },
};

/** What all sets of the index take: each with its name, its place in the table of keys, and its entries. */
async function indexSize(client: Awaited<ReturnType<typeof startStore>>['client']) {
  let entries = 0;
  let bytes = 0;
  const tableBytes = 16;
  for await (const keys of client.scanStream({ match: '{postlane}:find:to:*', count: 5_000 })) {
    const names = keys as string[];
    const pipeline = client.pipeline();
    for (const name of names) {
      pipeline.zcard(name);
      pipeline.memory('USAGE', name, 'SAMPLES', 0);
    }
    const answers = (await pipeline.exec()) ?? [];
    for (let i = 0; i < answers.length; i += 2) {
      entries += Number(answers[i]![1]);
      bytes += Number(answers[i + 1]![1]) + tableBytes;
    }
  }
  return { entries, bytes };
}
