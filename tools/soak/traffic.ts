/** The soak's producer: a steady stream of messages of all kinds, and an exact account of what was accepted. */
import { setTimeout as pause } from 'node:timers/promises';
import { PostlaneError } from '../../src/errors.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { Producer } from '../../src/producer/producer.ts';
import type { Chance } from './chance.ts';
import { habits } from './servers.ts';

/** A message that was handed to `send`. */
export interface Offer {
  readonly tag: string;
  readonly to: readonly string[];
  readonly sendAt: number | null;
  /** Known from the first answer on, be it an error. */
  id: string | null;
  /** `send` resolved. */
  accepted: boolean;
  /** `cancel` said that it will not be sent. */
  cancelled: boolean;
}

export interface Traffic {
  readonly offers: readonly Offer[];
  /** `send` calls that were rejected because of Redis; each was repeated, or given up. */
  readonly rejections: () => number;
  /** No new messages; resolves when every call under way has had its answer. */
  stop(): Promise<void>;
}

/** What becomes an attachment in the content store: larger than what travels in jobs. */
const large = Buffer.alloc(70_000, 'postlane ').toString('base64');

export function startTraffic(producer: Producer, chance: Chance, perSecond: number): Traffic {
  const offers: Offer[] = [];
  const running = new Set<Promise<void>>();
  let rejections = 0;

  /** Calls again with the same id for as long as Redis is away, as an application would; one in ten gives up. */
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
        if (chance.is('gives up', 0.1)) return;
        await pause(200);
      }
    }
  };

  const offer = async (): Promise<void> => {
    const { offer: made, message } = invent(offers.length, chance);
    offers.push(made);
    await send(made, message);
    if (!made.accepted) return;
    // The same id once more, now or in the middle of its way: nothing must come of it.
    if (made.id !== null && chance.is('twice', 0.05)) {
      await pause(chance.between('twice after', 0, 3_000));
      await producer.send({ ...message, id: made.id }).catch(() => undefined);
    }
    if (made.id !== null && chance.is('cancel', 0.03)) {
      await pause(chance.between('cancel after', 0, 500));
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

function invent(count: number, chance: Chance): { offer: Offer; message: OutboundMessage } {
  const tag = `t${count}`;
  const { id: connector } = chance.pick('connector', habits);
  const recipients = chance.is('many recipients', 0.2) ? chance.between('recipients', 2, 6) : 1;
  const to = Array.from({ length: recipients }, (_, n) => `${tag}.${n}@${connector}.sink.test`);
  const sendAt = chance.is('later', 0.05) ? Date.now() + chance.between('how much later', 500, 4_000) : null;
  const expiresAt = chance.is('expires', 0.03) ? Date.now() + chance.between('when', 5_000, 15_000) : null;
  const message: OutboundMessage = {
    from: `app@${connector}.test`,
    to,
    subject: `soak ${tag}`,
    text: `This is ${tag}.\n.\nAll of it.`,
    priority: chance.pick('priority', ['high', 'normal', 'low']),
    ...(chance.is('own id', 0.5) ? { id: `own-${tag}` } : {}),
    ...(sendAt === null ? {} : { sendAt: new Date(sendAt).toISOString() }),
    ...(expiresAt === null ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    ...(chance.is('large', 0.05)
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
  };
  return { offer: { tag, to, sendAt, id: null, accepted: false, cancelled: false }, message };
}
