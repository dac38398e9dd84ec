/** A producer without Redis for an application's tests: it remembers what was sent, and fails as a script says. */
import { createHash } from 'node:crypto';
import { PostlaneError } from '../errors.ts';
import { defaultMessageLimits, type Message, type MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { acceptMessage, type AcceptedMessage } from './accept.ts';
import { abortedError, closedError, type CallOptions } from './calls.ts';
import { checkOptions, claimKey } from './idempotency.ts';
import { storeLargeContent, type ContentSink } from './large-content.ts';
import { sendEach, type Producer, type SendOptions, type SendResult } from './producer.ts';
import { queuedStatus, type MessageStatus } from './status.ts';
import { createWaitFor } from './wait.ts';

/** A message that send() accepted, in its normal form, with every content inline. */
export interface RecordedMessage {
  readonly id: string;
  readonly message: Message;
  /** What `send` was told beside the message. */
  readonly submittedBy?: string;
  readonly via?: string;
}

/** Codes with which send() fails after the message was found valid. */
export type SendFailure = 'redis-unavailable' | 'redis-full' | 'redis-refused' | 'redis-unacknowledged';

/**
 * What one send() does. A failure stores nothing, unless `stored` says that only the answer was lost: a second send() with
 * the same id is a duplicate then.
 */
export type SendStep = 'accept' | SendFailure | { readonly fail: SendFailure; readonly stored: boolean };

export interface RecordingProducerOptions {
  /** Played one step per valid message; after its end every message is accepted. */
  readonly script?: readonly SendStep[];
  /** Limits that `send` applies. Default: those of a producer. */
  readonly message?: Partial<MessageLimits>;
}

/** Validates, makes ids, knows duplicates and fails as a producer does; nothing leaves the process. */
export interface RecordingProducer extends Producer {
  /** What was stored, in order; duplicates are not in it. */
  readonly sent: readonly RecordedMessage[];
  readonly closed: boolean;
  /**
   * Sets where a message stands, as a worker would: `status()` and `waitFor()` answer with it. `state: 'sent'` makes every
   * recipient `accepted` unless `recipients` says otherwise.
   *
   * @throws PostlaneError `not-found`
   */
  report(id: string, change: Partial<Omit<MessageStatus, 'id'>>): void;
}

export function createRecordingProducer(options: RecordingProducerOptions = {}): RecordingProducer {
  const limits: MessageLimits = { ...defaultMessageLimits, ...options.message };
  const steps = [...(options.script ?? [])];
  const sent: RecordedMessage[] = [];
  const statuses = new Map<string, MessageStatus>();
  const contents = createContentHashes();
  const keys = new Map<string, string>();
  const claim = async (hash: string, value: string): Promise<string> => {
    const before = keys.get(hash) ?? value;
    keys.set(hash, before);
    return before;
  };
  const closing = new AbortController();

  const call = async <T>(work: () => T | Promise<T>, { signal }: CallOptions = {}): Promise<T> => {
    if (closing.signal.aborted) throw closedError();
    if (signal?.aborted === true) throw abortedError(signal);
    return work();
  };

  const store = async (
    { id, message, broughtId }: AcceptedMessage,
    { submittedBy, via }: SendOptions,
  ): Promise<SendResult> => {
    if (broughtId && statuses.has(id)) return { id, duplicate: true };
    await storeLargeContent(message, id, contents);
    sent.push({
      id,
      message,
      ...(submittedBy === undefined ? {} : { submittedBy }),
      ...(via === undefined ? {} : { via }),
    });
    const status = queuedStatus(id, message.envelope.to, Date.now());
    const sendAtMs = message.sendAt === undefined ? 0 : Date.parse(message.sendAt);
    statuses.set(id, sendAtMs > Date.now() ? { ...status, state: 'scheduled', retryAt: sendAtMs } : status);
    return { id, duplicate: false };
  };

  const send = async (input: OutboundMessage, options: SendOptions = {}): Promise<SendResult> => {
    const { signal, idempotencyKey: key, submittedBy, via } = options;
    checkOptions(key, submittedBy, via);
    const given = acceptMessage(input, limits);
    const accepted = key === undefined ? given : await claimKey(given, { key, submittedBy }, claim, 0, Date.now());
    const { id } = accepted;
    if (signal?.aborted === true) throw abortedError(signal, id);
    const step = steps.shift() ?? 'accept';
    if (step === 'accept') return store(accepted, options);
    const { fail, stored } = typeof step === 'string' ? { fail: step, stored: false } : step;
    if (stored) await store(accepted, options);
    throw new PostlaneError(fail, `The script of the recording producer says ${fail}`, { id });
  };

  const waitFor = createWaitFor(async (id) => statuses.get(id) ?? null, closing.signal);
  const close = async (): Promise<void> => closing.abort();

  return {
    sent,
    get closed() {
      return closing.signal.aborted;
    },
    report(id, change) {
      const status = statuses.get(id);
      if (status === undefined) throw new PostlaneError('not-found', `No message with the id "${id}" was sent`, { id });
      const recipients = change.state === 'sent' ? status.recipients.map(delivered) : status.recipients;
      statuses.set(id, { ...status, recipients, ...change });
    },
    send: (message, options) => call(() => send(message, options)),
    sendMany: (messages, options) => call(() => sendEach(messages, (message) => send(message, options))),
    status: (id, options) => call(() => statuses.get(id) ?? null, options),
    waitFor: (id, options) => call(() => waitFor(id, options)),
    cancel: (id, options) => call(() => cancel(id, statuses), options),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function delivered({ address }: MessageStatus['recipients'][number]): MessageStatus['recipients'][number] {
  return { address, outcome: 'accepted', code: '250', reply: null };
}

/** As a worker would see it: a message may be cancelled until an attempt is under way or may have reached a recipient. */
function cancel(id: string, statuses: Map<string, MessageStatus>): boolean {
  const status = statuses.get(id);
  if (status === undefined) return false;
  if (status.state === 'cancelled') return true;
  if (!['queued', 'scheduled', 'deferred'].includes(status.state)) return false;
  if (status.recipients.some(({ outcome }) => outcome === 'accepted' || outcome === 'uncertain')) return false;
  statuses.set(id, { ...status, state: 'cancelled', retryAt: null });
  return true;
}

/** Knows which contents a producer would have stored, so that a reference to any other is `attachment-missing`. */
function createContentHashes(): ContentSink {
  const known = new Map<string, number>();
  return {
    async put(_id, bytes) {
      const ref = createHash('sha256').update(bytes).digest('hex');
      known.set(ref, bytes.length);
      return { ref, size: bytes.length };
    },
    async link(_id, stored) {
      return stored.flatMap(({ ref, size }) => {
        const storedBytes = known.get(ref) ?? null;
        return storedBytes === size ? [] : [{ ref, size, storedBytes }];
      });
    },
  };
}
