/** A server that counts every try, refused ones too, starves a sender that tries again: the lane finds its rate and stays below it. */
import { expect, test } from 'vitest';
import { account, countableMany, settled } from '../support/accounting.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { serverFor, startSender } from '../support/smtp-sender.ts';

const retry = { attributeWithinMs: 3_600_000, firstDelayMs: 1_000, maxDelayMs: 2_000 };

/** At most so many in that time; each try counts. */
function strict(count: number, perMs: number): () => boolean {
  let times: number[] = [];
  return () => {
    const now = performance.now();
    times = [...times.filter((at) => at > now - perMs), now];
    return times.length <= count;
  };
}

/** `learned`: mails per minute, at most. `most`: refusals for each mail. A sender that tries again at once has some 40 of them at such a server. */
const replies = [
  { phase: 'MAIL', answer: '451 4.7.1 too fast, slow down', most: 1, learned: 20 * 120 * 1.5 },
  { phase: 'RCPT', answer: '450 4.2.1 you are sending mail too quickly', most: 1, learned: 20 * 120 * 1.5 },
  // Of unknown words, refusals that chance makes the messages' own may keep the lane from learning a rate: the pauses remain.
  { phase: 'RCPT', answer: '451 nicht so schnell', most: 5, learned: Infinity },
] as const;

test.for(replies)(
  'at $phase with "$answer": all is sent, without a storm of refusals, and nothing dies',
  async ({ phase, answer, most, learned }) => {
    const prefix = testPrefix();
    const passes = strict(20, 500);
    let refused = 0;
    const limited = (): string | undefined => {
      if (passes()) return undefined;
      refused += 1;
      return answer;
    };
    const relay = await serverFor('relay', { script: { [phase]: limited } });
    const producer = testProducer(prefix);
    const ids = countableMany(120);
    await producer.sendMany(ids);
    const worker = await startSender({ prefix, servers: [relay], retry });
    const rows = await settled(producer, ids);
    expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: ids.length } });
    expect(refused).toBeLessThan(most * ids.length);
    const rates = worker.of('connector-fault').flatMap(({ messagesPerMinute }) => messagesPerMinute ?? []);
    expect(Math.min(...rates)).toBeLessThanOrEqual(learned);
  },
);
