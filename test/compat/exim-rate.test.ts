/** Exim's strict rate limit, which counts every try: a client that asks again and again never gets through. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { startExim } from '../../testkit/mailservers/exim.ts';
import { account, allOnce, settled } from '../support/accounting.ts';
import { idsOf, mailFor, startRelay } from './relay.ts';
import { copiesAt, defer, missing, startSink } from './support.ts';

if (missing !== null) console.warn(`Exim is not tested: ${missing}`);

const answers = [
  ['451', '451 4.7.1 too fast, slow down'],
  ['450', '450 4.2.1 rate exceeded for this sender'],
  ['421', '421 4.7.0 too fast'],
] as const;

const variants = (['mail', 'rcpt'] as const).flatMap((phase) =>
  answers.map(([code, answer]) => ({ id: `${phase}${code}`, phase, answer })),
);

describe.skipIf(missing !== null)('Exim with a strict limit of 20 in 2 s', () => {
  test('whatever its code, at MAIL and RCPT: all 200 messages are sent once', { timeout: 420_000 }, async () => {
    const servers = await Promise.all(
      variants.map(async ({ id, phase, answer }) => {
        const sink = await startSink();
        const exim = await startExim({
          sinkPort: sink.port,
          [phase]: defer('ratelimit = 20 / 2s / strict / per_cmd', answer),
        });
        onTestFinished(() => exim.stop());
        return { id, port: exim.port, sink, exim, messages: mailFor(id, 200, `${id}-`) };
      }),
    );
    const { producer, worker } = await startRelay(servers);
    const from = performance.now();
    await Promise.all(servers.map(({ messages }) => producer.sendMany(messages)));
    await Promise.all(
      servers.map(async ({ id, messages, exim, sink }) => {
        const rows = await settled(producer, idsOf(messages), 360_000);
        // What a server that counts tries makes of it depends on the machine, so it is said and not asserted. Ideal are 20 s.
        const seconds = ((performance.now() - from) / 1_000).toFixed(0);
        const faults = worker.of('connector-fault').filter(({ connector }) => connector === id).length;
        const refusals = await exim.logged('temporarily rejected');
        console.log(`${id}: ${seconds} s, ${refusals} refusals, ${faults} faults`);
        await copiesAt(sink, 200);
        expect(account(rows, [sink])).toEqual(allOnce(200));
      }),
    );
    expect(worker.of('dead')).toEqual([]);
  });
});
