/** A pause holds back messages that workers had taken before it began: none of them passes the fence. */
import { describe, expect, test } from 'vitest';
import type { Outcome, OutgoingMail, Transport } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const reply = (code: string) => ({ code, enhancedCode: null, text: 'wait' });
const accepted = ({ envelope }: OutgoingMail): Outcome => ({
  kind: 'settled',
  recipients: envelope.to.map((address) => ({ address, outcome: 'accepted', scope: 'message', reply: reply('250') })),
});

/** A transport at which mails wait right before the fence until they are let through. */
function gatedTransport(first: (mail: OutgoingMail) => Outcome) {
  const taken: string[] = [];
  const begun: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  let open = false;
  const gateOf = (id: string): PromiseWithResolvers<void> => {
    const gate = gates.get(id) ?? Promise.withResolvers<void>();
    gates.set(id, gate);
    return gate;
  };
  const transport: Transport = {
    kind: 'recording',
    async send(mail, { fence }) {
      taken.push(mail.id);
      if (!open) await gateOf(mail.id).promise;
      if (!(await fence())) return { kind: 'stopped', why: 'fence' };
      begun.push(mail.id);
      return begun.length === 1 ? first(mail) : accepted(mail);
    },
    check: async () => ({ ok: true, detail: '' }),
    close: async () => undefined,
  };
  return {
    transport,
    taken,
    begun,
    letThrough: (id: string) => gateOf(id).resolve(),
    openAll() {
      open = true;
      for (const { resolve } of gates.values()) resolve();
    },
  };
}

const ids = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'];

/** Two workers that have taken three messages each, all of them before the fence. */
async function setUp(first: (mail: OutgoingMail) => Outcome) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const gated = gatedTransport(first);
  const config = configOf(
    { relay: { limits: { concurrency: 6, messagesPerMinute: null } } },
    { worker: { slots: 4, drainMs: 5_000 } },
  );
  // A lane gets three of four slots.
  const start = { prefix, config, transports: { relay: gated.transport }, timing: { lockMs: 30_000 } };
  const workers = [await startWorker({ ...start, name: 'w1' }), await startWorker({ ...start, name: 'w2' })];
  for (const id of ids) await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });
  await until(() => gated.taken.length === 6, { what: 'all messages to be taken' });
  const handedBack = (): string[] =>
    workers.flatMap(({ of }) => of('handed-back').flatMap(({ id, why }) => (why === 'paused' ? [id] : [])));
  return { producer, operator, gated, handedBack };
}

describe('messages that were taken before their lane paused', () => {
  test.each([
    ['as a server asked for it', { kind: 'connector-fault', fault: 'throttled', reply: reply('429'), pauseMs: 1_500 }],
    ['after a fault', { kind: 'connector-fault', fault: 'unreachable', reply: reply('ECONNREFUSED'), pauseMs: 1_500 }],
    ['as a server took one and asked for patience', null],
  ] as const)('%s are returned unsent, count no attempt, and are sent after it', async (_title, fault) => {
    const slowDown = (mail: OutgoingMail): Outcome => Object.assign(accepted(mail), { slowDownMs: 1_500 });
    const { producer, operator, gated, handedBack } = await setUp((mail) => fault ?? slowDown(mail));
    gated.letThrough('m0');
    // The pause is in Redis before the result is.
    const written = async (): Promise<boolean> =>
      fault === null
        ? (await producer.status('m0'))?.state === 'sent'
        : (await operator.lanes.status('relay')).faults !== null;
    await until(written, { what: 'what became of the first' });
    gated.openAll();
    await until(() => handedBack().length === 5, { what: 'the others to be handed back' });
    expect(gated.begun).toEqual(['m0']);
    expect(handedBack().toSorted()).toEqual(ids.slice(1));
    for (const id of ids) {
      const row = await until(
        async () => {
          const status = await producer.status(id);
          return status?.state === 'sent' ? status : null;
        },
        { what: `${id} to be sent` },
      );
      expect(row.attempts).toBe(1);
    }
    // The one that was refused is first in line again; one that was taken is not sent once more.
    expect(gated.begun.indexOf('m0', 1)).toBe(fault === null ? -1 : 1);
  });

  test('by an operator stay in the lane, and go out once it is resumed', async () => {
    const { producer, operator, gated, handedBack } = await setUp(accepted);
    await operator.lanes.pause('relay');
    gated.openAll();
    await until(() => handedBack().length === 6, { what: 'all to be handed back' });
    expect(gated.begun).toEqual([]);
    expect((await operator.lanes.status('relay')).waiting).toBe(6);
    await operator.lanes.resume('relay');
    await until(async () => (await producer.status('m5'))?.state === 'sent', { what: 'the last to be sent' });
    expect(new Set(gated.begun)).toEqual(new Set(ids));
  });

  test('for a quota begin all the same: they have their own share of it', async () => {
    const { operator, gated, producer } = await setUp(accepted);
    await operator.lanes.holdFor('relay', 60_000, 'recipients-per-day');
    gated.openAll();
    await until(() => gated.begun.length === 6, { what: 'all to begin' });
    const sent = async () => (await producer.status('m5'))?.state === 'sent';
    expect(await until(sent, { what: 'the last to be sent' })).toBe(true);
  });
});
