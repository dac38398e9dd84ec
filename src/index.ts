/** The public surface: what an application needs to enqueue messages and to follow them. */
export {
  createProducer,
  type CallOptions,
  type EncryptionKeys,
  type AttemptEntry,
  type Bounce,
  type HistoryEntry,
  type MessageState,
  type MessageStatus,
  type Producer,
  type ProducerOptions,
  type ProducerRedis,
  type RecipientState,
  type TriedRecipient,
  type RedisSentinel,
  type RedisSettings,
  type RedisTls,
  type SendManyResult,
  type SendOptions,
  type SendResult,
  type WaitOptions,
} from './producer/producer.ts';
export type {
  DsnInput,
  EnvelopeInput,
  InlineAttachment,
  InlineContent,
  ListUnsubscribeInput,
  MailboxInput,
  MessageIdList,
  OutboundMessage,
  StoredAttachment,
  StoredContent,
  TimeInput,
} from './message/outbound.ts';
export type { Importance, MessageLimits, Priority } from './message/message.ts';
export { errorCodes, PostlaneError, type ErrorCode, type Issue } from './errors.ts';
