/** The door of this room: reads the mailboxes of connectors for delivery reports until it is stopped. Any number of processes may; one at a time reads a mailbox. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createKeyedSemaphore } from '../async/semaphore.ts';
import { sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import type { BounceNotes } from '../admin/bounces.ts';
import type { Config } from '../config/config.ts';
import type { Mailboxes } from '../queue/mailboxes.ts';
import type { BouncesEvent } from './events.ts';
import { mailboxesOf, type Mailbox } from './mailboxes.ts';
import { defaultMailboxTiming, readMailbox, type MailboxTiming } from './round.ts';

type BouncesConfig = Pick<Config, 'connectors' | 'retention' | 'suppressions'>;

export interface BouncesOptions {
  readonly config: BouncesConfig;
  /** Rejects while Redis is away. */
  readonly redis: () => Promise<{ readonly bounceNotes: BounceNotes; readonly mailboxes: Mailboxes }>;
  readonly emit: (event: BouncesEvent) => void;
  /** An error of Redis, or one that was not foreseen; the mailbox is tried again. */
  readonly onError: (error: Error) => void;
  readonly now?: () => number;
  readonly timing?: Partial<MailboxTiming>;
}

export interface Bounces {
  start(): void;
  /** Puts another configuration in force: mailboxes that are new, changed or gone. */
  apply(config: BouncesConfig): void;
  /** Ends what is under way; it is read again by the next process. */
  stop(): Promise<void>;
  /** When the mailbox that is read longest ago was read, by any process: ms since the epoch, 0 if one never was; null without mailboxes. */
  oldestReadAt(): number | null;
}

/** Mailboxes that one process reads at once: a report of a mebibyte for each is held. */
const mailboxesAtOnce = 4;
/** A mailbox that another process has is looked at so often, so that its death is seen, in ms. */
const mostWaitMs = 60_000;
const leastWaitMs = 100;

interface Running {
  readonly mailbox: Mailbox;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

export function createBounces(options: BouncesOptions): Bounces {
  const { redis, emit, onError, now = Date.now } = options;
  const timing: MailboxTiming = { ...defaultMailboxTiming, ...options.timing };
  let { config } = options;
  const slots = createKeyedSemaphore(mailboxesAtOnce);
  const running = new Map<string, Running>();
  const readAt = new Map<string, number>();
  const ending = new Set<Promise<void>>();
  let started = false;

  const readOnce = async ({ connector, key, source }: Mailbox, signal: AbortSignal): Promise<number> => {
    const release = await slots.acquire('', signal);
    if (release === null) return 0;
    try {
      const { bounceNotes: notes, mailboxes } = await redis();
      const lookBackMs = config.retention.ledgerMs;
      const bouncePaths = [...new Set(config.connectors.flatMap(({ bouncePath }) => bouncePath ?? []))];
      const round = { connector, key, source, lookBackMs, token: randomUUID(), signal };
      const { fromBounces, forMs } = config.suppressions;
      const suppressForMs = fromBounces ? forMs : null;
      const tools = { notes, mailboxes, bouncePaths, suppressForMs, emit, now, timing };
      const done = await readMailbox(round, tools);
      readAt.set(key, done.readAt ?? 0);
      return done.waitMs;
    } catch (thrown) {
      onError(asError(thrown));
      return timing.everyMs;
    } finally {
      release();
    }
  };

  const readUntil = async (mailbox: Mailbox, signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const waitMs = await readOnce(mailbox, signal);
      await sleep(Math.min(Math.max(waitMs, leastWaitMs), mostWaitMs), signal);
    }
  };

  const reconcile = (): void => {
    const wanted = new Map(mailboxesOf(config, now).map((mailbox) => [mailbox.key, mailbox]));
    for (const [key, { mailbox, stop, ended }] of running) {
      if (isDeepStrictEqual(wanted.get(key)?.settings, mailbox.settings)) continue;
      stop.abort();
      running.delete(key);
      readAt.delete(key);
      const over = ended.finally(() => ending.delete(over));
      ending.add(over);
    }
    for (const [key, mailbox] of wanted) {
      if (running.has(key)) continue;
      const stop = new AbortController();
      running.set(key, { mailbox, stop, ended: readUntil(mailbox, stop.signal) });
    }
  };

  return {
    start() {
      started = true;
      reconcile();
    },
    apply(next) {
      config = next;
      if (started) reconcile();
    },
    async stop() {
      started = false;
      for (const { stop } of running.values()) stop.abort();
      await Promise.all([...[...running.values()].map(({ ended }) => ended), ...ending]);
      running.clear();
    },
    oldestReadAt: () =>
      running.size === 0 ? null : Math.min(...[...running.keys()].map((key) => readAt.get(key) ?? 0)),
  };
}
