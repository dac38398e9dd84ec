/** The public surface: what an application needs to enqueue, and what the author of a transport, or of its tests, needs. */
export {
  createProducer,
  type MessageStatus,
  type Producer,
  type ProducerOptions,
  type RedisSentinel,
  type RedisSettings,
  type RedisTls,
  type SendManyResult,
  type SendResult,
} from './producer/producer.ts';
export { type OutboundMessage } from './message/schema.ts';
export { type Envelope, type Mailbox, type MessageLimits } from './message/message.ts';
export { errorCodes, PostlaneError, type ErrorCode, type Issue } from './errors.ts';
export { createRecordingTransport, type RecordingStep, type RecordingTransport } from './transport/recording.ts';
export type {
  CheckResult,
  FaultClass,
  Outcome,
  OutgoingMail,
  RecipientOutcome,
  Reply,
  Reservation,
  Scope,
  SendContext,
  StopReason,
  Transport,
  Verification,
  VerifyContext,
} from './transport/transport.ts';
