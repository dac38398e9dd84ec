/** Bytes of mail in one process: large messages of one connector wait for each other, and delay no other connector. */
import { expect, test } from 'vitest';
import { createRecordingTransport } from '../../src/transport/recording.ts';
import type { OutgoingMail, Outcome, SendContext } from '../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

/** A transport that keeps each mail until it is let go, and counts how many it keeps. */
function slowTransport(count: number) {
  const opened = Promise.withResolvers<void>();
  const kept = { now: 0, most: 0 };
  const step = async ({ envelope }: OutgoingMail, { signal }: SendContext): Promise<Outcome> => {
    kept.now += 1;
    kept.most = Math.max(kept.most, kept.now);
    await Promise.race([opened.promise, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    kept.now -= 1;
    const reply = { code: '250', enhancedCode: null, text: 'ok' };
    const recipients = envelope.to.map(
      (address) => ({ address, outcome: 'accepted', scope: 'recipient', reply }) as const,
    );
    return { kind: 'settled', recipients };
  };
  const transport = createRecordingTransport({ script: Array.from({ length: count }, () => step) });
  return { transport, kept, open: () => opened.resolve() };
}

const config = configOf(
  { large: { addresses: ['large@example.com'] }, small: { addresses: ['small@example.com'] } },
  { worker: { slots: 20, drainMs: 5_000, maxBytesInFlight: 1_000_000 } },
);
const attachments = [{ content: Buffer.alloc(300_000), filename: 'a.bin' }];

test('large ones of a connector go one by one within its half, while those of another connector pass', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { transport, kept, open } = slowTransport(4);
  const { recorded } = await startWorker({ prefix, config, transports: { large: transport } });
  for (let i = 0; i < 4; i += 1) {
    await producer.send({ id: `large-${i}`, from: 'large@example.com', to: 'a@example.net', attachments });
  }
  const operator = await testOperator(prefix);
  await until(async () => (await operator.lanes.status('large')).active === 4, { what: 'four to be taken' });
  for (let i = 0; i < 5; i += 1) await producer.send({ from: 'small@example.com', to: 'a@example.net', text: 'x' });
  await producer.send({ from: 'small@example.com', to: 'a@example.net', attachments });
  await until(() => recorded('small').mails.length === 6, { what: 'the others’ messages' });
  expect(kept).toEqual({ now: 1, most: 1 });
  // None of those that wait has begun: their attempts are still to be made.
  const rows = await Promise.all([0, 1, 2, 3].map((i) => producer.status(`large-${i}`)));
  expect(rows.filter((row) => row?.state === 'queued' && row.attempts === 0)).toHaveLength(3);
  open();
  await until(() => transport.mails.length === 4, { what: 'the large ones' });
  expect(kept.most).toBe(1);
});

test('a stop hands back at once who waits for room, without an attempt, and another worker sends it', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const { transport, kept, open } = slowTransport(1);
  const one = await startWorker({ prefix, config, transports: { large: transport }, name: 'one' });
  for (let i = 0; i < 3; i += 1) {
    await producer.send({ id: `large-${i}`, from: 'large@example.com', to: 'a@example.net', attachments });
  }
  const operator = await testOperator(prefix);
  await until(async () => (await operator.lanes.status('large')).active === 3, { what: 'three to be taken' });
  const stopped = one.worker.stop();
  await until(() => one.of('handed-back').length >= 2, { what: 'two to be handed back' });
  expect(kept.now).toBe(1);
  open();
  expect(await stopped).toBe(true);
  const two = await startWorker({ prefix, config, name: 'two' });
  await until(() => two.recorded('large').mails.length === 2, { what: 'the rest to be sent by the other' });
  const rows = await until(
    async () => {
      const all = await Promise.all([0, 1, 2].map((i) => producer.status(`large-${i}`)));
      return all.every((row) => row?.state === 'sent') ? all : null;
    },
    { what: 'all to be sent' },
  );
  expect(rows.map((row) => row?.attempts)).toEqual([1, 1, 1]);
});
