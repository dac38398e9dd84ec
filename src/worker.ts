/** `postlane/worker`: workers inside an application, with transports of its own. */
export { createWorker, type EmbeddedWorker, type EmbeddedWorkerOptions } from './embed/worker.ts';
export { type CreateTransport } from './embed/compose.ts';
export { type TransportContext } from './worker/worker.ts';
export { type WorkerEvent } from './worker/events.ts';
export type { TraceIds } from './tracing/tracing.ts';
export type { Config, ConnectorConfig } from './config/config.ts';
export type { LeaseProvider, SessionLease } from './transport/smtp/lease-provider.ts';
export type {
  AttemptSpan,
  AttemptTrace,
  CheckResult,
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
  StopReason,
  Structured,
  Transport,
  Verification,
  VerifyContext,
} from './transport/transport.ts';
export { errorCodes, PostlaneError, type ErrorCode, type Issue } from './errors.ts';
