/** The transport for nodemailer: a mail of the application becomes a message in Redis. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { callbackify } from 'node:util';
import { acceptedAt, messageIdHeader, newMessageId } from '../message/identity.ts';
import { defaultMessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { headBytes, ownMessageId, readRawHeader } from '../message/raw.ts';
import { createProducer, defaultPrefix, type Producer } from '../producer/producer.ts';
import { isRecord, readStream, type Reading } from './contents.ts';
import { mailError, toMailError } from './failures.ts';
import { createLease, lend, type ProducerLease } from './lease.ts';
import type {
  NodemailerMail,
  PostlaneFields,
  PostlaneMailError,
  PostlaneMailInfo,
  PostlaneTransport,
  PostlaneTransportOptions,
} from './mail.ts';
import { formsFit } from './forms.ts';
import { onlyComposed } from './plan.ts';
import { addressesOf, dsnOf, envelopeOf, structuredMessage } from './structured.ts';

export type {
  NodemailerMail,
  PostlaneFields,
  PostlaneMailError,
  PostlaneMailInfo,
  PostlaneTransport,
  PostlaneTransportOptions,
  TransportMode,
} from './mail.ts';

/** `nodemailer.createTransport(postlaneTransport({ redis: { url } }))`: `sendMail` resolves when the message is in Redis. */
export function postlaneTransport(options: PostlaneTransportOptions): PostlaneTransport {
  const lease = leaseOf(options);
  // Any read will do: no message has an id with this purpose, and null is an answer.
  const ask = async (): Promise<true> => {
    await inMailTerms(lease.use((producer) => producer.status('postlane-verify')));
    return true;
  };
  function verify(): Promise<true>;
  function verify(callback: (error: PostlaneMailError | null, ready: true) => void): void;
  function verify(callback?: (error: PostlaneMailError | null, ready: true) => void): Promise<true> | undefined {
    if (callback === undefined) return ask();
    callbackify(ask)((error, ready) => callback(error as PostlaneMailError | null, ready));
    return undefined;
  }
  return {
    name: 'postlane',
    version: version(),
    supportsAbortSignal: true,
    send(mail, callback) {
      callbackify(() => inMailTerms(sendOne(mail, options, lease)))((error, info) =>
        callback(error as PostlaneMailError | null, info),
      );
    },
    verify,
    close: () => lease.close(),
    isIdle: () => !lease.closed,
  };
}

async function inMailTerms<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toMailError(error);
  }
}

/** Types the field `postlane` of a mail: `sendMail(withPostlane({ to, subject, text }, { sendAt }))`. */
export function withPostlane<Mail extends object>(mail: Mail, postlane: PostlaneFields): Mail {
  return { ...mail, postlane };
}

const defaultIdleMs = 5_000;
const defaultReadTimeoutMs = 120_000;

function leaseOf(options: PostlaneTransportOptions): ProducerLease {
  if (options.producer !== undefined) return lend(options.producer);
  const { redis, message, timeoutMs, acknowledge, retentionMs, idleMs = defaultIdleMs } = options;
  const given = {
    redis,
    ...(message === undefined ? {} : { message }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(acknowledge === undefined ? {} : { acknowledge }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
  };
  return createLease(() => createProducer(given), idleMs);
}

function prefixOf(options: PostlaneTransportOptions): string {
  return (options.producer === undefined ? options.redis.prefix : options.prefix) ?? defaultPrefix;
}

/** The package's own, in its installed form and in the repository. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

async function sendOne(
  mail: NodemailerMail,
  options: PostlaneTransportOptions,
  lease: ProducerLease,
): Promise<PostlaneMailInfo> {
  const data = mail.data as Readonly<Record<string, unknown>>;
  const fields = fieldsOf(data);
  refuseUnsupported(data);
  const signal = data['signal'] instanceof AbortSignal ? data['signal'] : undefined;
  const reading = readingOf(data, options, signal);
  const isRaw = wantsRaw(mail, options);
  const read = await (isRaw ? composedMail(mail, reading) : structuredMail(mail, reading));
  const { idempotencyKey, submittedBy, via, id: givenId, ...rest } = fields;
  const startedAt = Date.now();
  const id = givenId ?? newMessageId(startedAt, randomUUID());
  const message: OutboundMessage = { ...read.message, ...dsnOf(data), ...rest, id };
  return lease.use(async (producer) => {
    const result = await producer.send(message, { idempotencyKey, submittedBy, via, signal });
    const isNew = result.id === id && givenId === undefined && !result.duplicate;
    const messageId = isNew
      ? (read.messageId ?? newId(id, startedAt, read.fromAddress, prefixOf(options)))
      : await storedMessageId(result, read, producer, prefixOf(options));
    const envelope = mail.message.getEnvelope();
    const accepted = envelope.to.length > 0 ? envelope.to : read.recipients;
    return {
      envelope: { from: envelope.from, to: [...accepted] },
      messageId,
      accepted: [...accepted],
      rejected: [],
      // Auth.js takes what is pending for what has failed.
      pending: [],
      response: `250 2.0.0 queued as ${result.id}`,
      id: result.id,
      duplicate: result.duplicate,
    };
  });
}

interface ReadMail {
  readonly message: OutboundMessage;
  /** The Message-ID that the mail brings along; null: it gets one. */
  readonly messageId: string | null;
  /** '' where the workers have to know it. */
  readonly fromAddress: string;
  readonly recipients: readonly string[];
}

async function structuredMail(mail: NodemailerMail, reading: Reading): Promise<ReadMail> {
  const message = await structuredMessage(mail, reading);
  const { from } = message;
  const fromAddress = from === undefined ? '' : typeof from === 'string' ? from : from.address;
  return { message, messageId: null, fromAddress, recipients: [] };
}

/** The mail as nodemailer composed it. */
async function composedMail(mail: NodemailerMail, reading: Reading): Promise<ReadMail> {
  // nodemailer takes `a@b\r\nBcc: c@d` for a group whose member is c@d.
  addressesOf(mail.data as Readonly<Record<string, unknown>>);
  const bytes = await readStream(mail.message.createReadStream(), 'raw', reading);
  const header = readRawHeader(bytes.subarray(0, headBytes));
  if (!header.ok) throw mailError('EMESSAGE', `The header of the mail ${header.problem}`);
  const { from, recipients } = header.value;
  if (!from.ok) throw mailError('EENVELOPE', `from: the mail ${from.problem}`);
  if (from.value === null) throw mailError('EENVELOPE', 'from: a mail that is sent as composed needs a From address');
  const envelope = mail.message.getEnvelope();
  // Without recipients of nodemailer's, those in the header of a `raw` mail are meant.
  const given = envelopeOf(mail).envelope ?? (envelope.to.length > 0 ? { to: envelope.to } : {});
  return {
    message: { raw: bytes, envelope: given },
    messageId: ownMessageId(header.value),
    fromAddress: from.value.address,
    recipients: recipients.ok ? recipients.value.map(({ address }) => address) : [],
  };
}

function newId(id: string, at: number, fromAddress: string, prefix: string): string {
  return fromAddress === '' ? '' : messageIdHeader({ id, prefix, acceptedAt: at, fromAddress });
}

/** Of a message whose id was the application's: it may be an earlier one, and the time of its acceptance is Redis' to say. */
async function storedMessageId(
  { id, duplicate }: { readonly id: string; readonly duplicate: boolean },
  { messageId, fromAddress }: ReadMail,
  producer: Pick<Producer, 'status'>,
  prefix: string,
): Promise<string> {
  if (!duplicate && messageId !== null) return messageId;
  // The message is in Redis: that its Message-ID is not known is no reason to say that it is not.
  const status = await producer.status(id).catch(() => null);
  if (status === null) return messageId ?? '';
  if (status.messageId !== null || messageId !== null) return status.messageId ?? messageId ?? '';
  return newId(id, acceptedAt(id, status.acceptedAt), status.from ?? fromAddress, prefix);
}

function wantsRaw(mail: NodemailerMail, { mode = 'auto' }: PostlaneTransportOptions): boolean {
  if (mode === 'raw') return true;
  const part = onlyComposed(mail);
  // What the message schema refuses of a form, nodemailer sends.
  if (mode === 'auto') return part !== null || !formsFit(mail.data as Readonly<Record<string, unknown>>);
  if (part === null) return false;
  throw mailError('EMESSAGE', `${part}: a structured message has no such part; use the mode "auto" or "raw"`);
}

function readingOf(
  data: Readonly<Record<string, unknown>>,
  { message, readTimeoutMs = defaultReadTimeoutMs }: PostlaneTransportOptions,
  signal: AbortSignal | undefined,
): Reading {
  const maxBytes = message?.maxBytes ?? defaultMessageLimits.maxBytes;
  const limit = AbortSignal.timeout(readTimeoutMs);
  return {
    leftBytes: maxBytes,
    maxBytes,
    disableFileAccess: Boolean(data['disableFileAccess']),
    disableUrlAccess: Boolean(data['disableUrlAccess']),
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  };
}

const knownFields: Readonly<Record<keyof PostlaneFields, true>> = {
  id: true,
  idempotencyKey: true,
  priority: true,
  sendAt: true,
  expiresAt: true,
  metadata: true,
  submittedBy: true,
  via: true,
};

/** A misspelt `sendAt` that is passed over would send the mail at once. */
function fieldsOf({ postlane = {} }: { readonly postlane?: unknown }): PostlaneFields {
  if (!isRecord(postlane)) throw mailError('EMESSAGE', 'postlane: must be an object');
  const unknown = Object.keys(postlane).find((key) => !Object.hasOwn(knownFields, key));
  if (unknown !== undefined) throw mailError('EMESSAGE', `postlane.${unknown}: unknown field`);
  return postlane;
}

/** What an application asked of the SMTP session, and would miss without knowing. */
function refuseUnsupported({ requireTLSExtensionEnabled }: { readonly requireTLSExtensionEnabled?: unknown }): void {
  if (!requireTLSExtensionEnabled) return;
  throw mailError('EMESSAGE', 'requireTLSExtensionEnabled: a mail cannot ask this of its connector');
}
