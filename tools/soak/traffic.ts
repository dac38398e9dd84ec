/** The soak's producer: a steady stream of messages of all kinds, and a record of what was accepted. */
import { setTimeout as pause } from 'node:timers/promises';
import { PostlaneError } from '../../src/errors.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { createOddities, type Oddities } from './oddities.ts';
import type { SeededRandom } from './seeded-random.ts';
import { profiles } from './servers.ts';

/** A message that was handed to `send`. */
export interface Offer {
  readonly tag: string;
  readonly to: readonly string[];
  readonly sendAt: number | null;
  /** Known from the first answer on, even if that is an error. */
  id: string | null;
  /** `send` resolved. */
  accepted: boolean;
  /** `cancel` answered that it will not be sent. */
  cancelled: boolean;
}

export interface Traffic {
  readonly offers: readonly Offer[];
  /** Calls of `send` rejected because of Redis; each was repeated or given up. */
  readonly rejections: () => number;
  /** No new messages; resolves when every call under way has its answer. */
  stop(): Promise<void>;
}

/** With few messages, an outage would last long until enough of them are refused. */
const busier: typeof profiles = [...profiles, ...profiles.filter(({ id }) => id === 'outage')];

/** Larger than what travels in jobs, so it goes to the content store. */
const large = Buffer.alloc(70_000, 'postlane ').toString('base64');

export function startTraffic(producer: Producer, random: SeededRandom, perSecond: number): Traffic {
  const offers: Offer[] = [];
  const running = new Set<Promise<void>>();
  const odd = createOddities(random);
  let rejections = 0;

  /** Calls again with the same id while Redis is away, as an application would; one in ten gives up. */
  const send = async (offer: Offer, message: OutboundMessage): Promise<void> => {
    for (;;) {
      try {
        const { id } = await producer.send(offer.id === null ? message : { ...message, id: offer.id });
        offer.id = id;
        offer.accepted = true;
        return;
      } catch (error) {
        if (!(error instanceof PostlaneError) || error.code === 'message-invalid') throw error;
        rejections += 1;
        offer.id = error.id ?? offer.id;
        if (random.is('gives up', 0.1)) return;
        await pause(200);
      }
    }
  };

  const offer = async (): Promise<void> => {
    const { offer: made, message } = nextMessage(offers.length, random, odd);
    offers.push(made);
    await send(made, message);
    if (!made.accepted) return;
    // The same id again, at once or while the message is under way: it must change nothing.
    if (made.id !== null && random.is('twice', 0.05)) {
      await pause(random.between('twice after', 0, 3_000));
      await producer.send({ ...message, id: made.id }).catch(() => undefined);
    }
    if (made.id !== null && random.is('cancel', 0.03)) {
      await pause(random.between('cancel after', 0, 500));
      made.cancelled = await producer.cancel(made.id).catch(() => false);
    }
  };

  const timer = setInterval(() => {
    const one = offer().finally(() => running.delete(one));
    running.add(one);
  }, 1_000 / perSecond);

  return {
    offers,
    rejections: () => rejections,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}

function nextMessage(count: number, random: SeededRandom, odd: Oddities): { offer: Offer; message: OutboundMessage } {
  const tag = `t${count}`;
  const { id: connector } = random.pick('connector', busier);
  const recipients = random.is('many recipients', 0.2) ? random.between('recipients', 2, 9) : 1;
  const to = Array.from({ length: recipients }, (_, n) => `${tag}.${n}@${connector}.sink.test`);
  const sendAt = random.is('later', 0.05) ? Date.now() + random.between('how much later', 500, 4_000) : null;
  const expiresAt = random.is('expires', 0.03) ? Date.now() + random.between('when', 5_000, 15_000) : null;
  const from = `app@${connector}.test`;
  const message: OutboundMessage = {
    from,
    to,
    subject: `soak ${tag}`,
    text: `This is ${tag}.\n.\nAll of it.`,
    priority: random.pick('priority', ['high', 'normal', 'low']),
    ...(random.is('own id', 0.5) ? { id: `own-${tag}` } : {}),
    ...(sendAt === null ? {} : { sendAt: new Date(sendAt).toISOString() }),
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(random.is('large', 0.05)
      ? {
          attachments: [
            {
              filename: 'a.bin',
              content: large,
              encoding: 'base64',
            },
          ],
        }
      : {}),
    ...odd({ tag, from, to }),
  };
  return { offer: { tag, to, sendAt, id: null, accepted: false, cancelled: false }, message };
}
