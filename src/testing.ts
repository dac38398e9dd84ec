/** `postlane/testing`: doubles for an application's tests, and the contract suite for the author of a transport. */
export {
  createRecordingProducer,
  type RecordedMessage,
  type RecordingProducer,
  type RecordingProducerOptions,
  type SendFailure,
  type SendStep,
} from './producer/recording.ts';
export {
  createRecordingTransport,
  type RecordingStep,
  type RecordingTransport,
  type RecordingTransportOptions,
} from './transport/recording.ts';
export {
  transportContract,
  type ContractHarness,
  type ContractOptions,
  type ContractScene,
  type ContractSetup,
} from './transport/transport-contract.ts';
export type {
  AttemptSpan,
  AttemptTrace,
  CheckResult,
  DsnRequest,
  FaultClass,
  Outcome,
  OutgoingMail,
  OpenRefusal,
  RecipientOutcome,
  Reply,
  Reservation,
  Scope,
  SendContext,
  SenderCheck,
  MissingRight,
  StopReason,
  Structured,
  Transport,
  Verification,
  VerifyContext,
} from './transport/transport.ts';
export type {
  Alternative,
  Attachment,
  CalendarEvent,
  Content,
  Dsn,
  DsnEvent,
  Envelope,
  Mailbox,
  Message,
  MessageLimits,
  Importance,
  ListUnsubscribe,
  Priority,
} from './message/message.ts';
