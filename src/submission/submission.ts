/** Submission by SMTP: everything that listens, as one thing that starts, takes another configuration, and drains. */
import type { Config } from '../config/config.ts';
import type { SubmissionListener } from '../config/submission.ts';
import type { SubmissionStore } from '../admin/submissions.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Submitter } from '../producer/producer.ts';
import { createAccept } from './accept.ts';
import { createByteBudget } from './collector.ts';
import { createClients, type Client } from './clients.ts';
import type { SubmissionEvent, SubmissionState } from './events.ts';
import { startListener, type Listener } from './listener.ts';
import { createLogins } from './login.ts';
import { createNotes } from './notes.ts';
import { replies, type ReplyName } from './replies.ts';

export type { SubmissionEvent, SubmissionState } from './events.ts';

export interface SubmissionOptions {
  readonly config: Config;
  readonly producer: Pick<Submitter, 'submit'>;
  readonly store: SubmissionStore;
  readonly onEvent: (event: SubmissionEvent, trace?: TraceIds | null) => void;
  /** ms since the epoch. */
  readonly now?: () => number;
  /** In ms. */
  readonly monotonic?: () => number;
}

export interface Submission {
  /** Rejects if an address cannot be had; then it listens nowhere. */
  start(): Promise<void>;
  apply(config: Config): void;
  /** Takes no more clients and no more messages; those under way are finished within `ms`. → whether all were. */
  drain(ms: number): Promise<boolean>;
  state(): SubmissionState;
}

const sweepMs = 5_000;

export function createSubmission({
  config: first,
  producer,
  store,
  onEvent: tell,
  now = Date.now,
  monotonic = () => performance.now(),
}: SubmissionOptions): Submission {
  let config = first;
  let draining = false;
  let started = false;
  const listeners = new Map<string, Listener>();
  const notes = createNotes(store, now);
  const onEvent = (event: SubmissionEvent, trace: TraceIds | null = null): void => {
    notes.onEvent(event);
    tell(event, trace);
  };
  const dismissed = (client: Client, reason: ReplyName): void => {
    const { code } = replies[reason];
    onEvent({ event: 'submission-refused', user: client.login, address: client.address, reason, code, detail: '' });
  };
  const clients = createClients(monotonic, dismissed);
  const budget = createByteBudget(() => config.submission.maxBytesInFlight);
  const logins = createLogins({
    users: () => config.submission.users,
    tokens: () => config.api.tokens,
    store,
    monotonic,
    now,
  });
  const accept = createAccept({
    producer,
    store,
    dedupeForMs: () => config.submission.dedupeForMs,
    now,
  });
  const listen = async (settings: SubmissionListener): Promise<void> => {
    const listener = await startListener({
      settings,
      hostname: config.hostname,
      limits: () => config.message,
      maxClients: () => config.submission.maxClients,
      clients,
      budget,
      logins,
      accept,
      store,
      draining: () => draining,
      onEvent,
      monotonic,
    });
    listeners.set(keyOf(settings), listener);
    const { listen: at, security } = settings;
    onEvent({ event: 'smtp-listening', host: at.host, port: listener.port, security });
  };
  const stopListening = (): void => {
    for (const listener of listeners.values()) listener.close();
    listeners.clear();
  };
  const sweeper = setInterval(() => {
    clients.sweep();
    void notes.flush();
  }, sweepMs);
  sweeper.unref();

  return {
    async start() {
      try {
        for (const settings of config.submission.listeners) await listen(settings);
        started = true;
      } catch (error) {
        stopListening();
        clearInterval(sweeper);
        throw error;
      }
    },

    apply(next) {
      config = next;
      for (const settings of next.submission.listeners) listeners.get(keyOf(settings))?.apply(settings);
    },

    async drain(ms) {
      draining = true;
      const until = monotonic() + ms;
      onEvent({ event: 'smtp-draining', clients: clients.count });
      stopListening();
      for (const client of clients.all()) {
        if (client.phase !== 'data' && client.phase !== 'deciding') clients.dismiss(client, 'draining');
      }
      while (clients.count > 0 && monotonic() < until) {
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
      const drained = clients.count === 0;
      for (const { socket } of clients.all()) socket.destroy();
      clearInterval(sweeper);
      await notes.flush();
      onEvent({ event: 'smtp-stopped', drained });
      return drained;
    },

    state: () => ({
      ready: started && !draining && store.connected() && budget.held < budget.max,
      clients: clients.count,
      maxClients: config.submission.maxClients,
      bytesHeld: budget.held,
      maxBytes: budget.max,
    }),
  };
}

/** While a drain waits for the last replies, in ms. */
const pollMs = 20;

/** What a listener cannot change without listening anew. */
function keyOf({ listen: { host, port }, security }: SubmissionListener): string {
  return `${security} ${host} ${port}`;
}
