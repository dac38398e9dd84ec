/**
 * What answers of Microsoft Graph mean: rows of data, of which the first match wins, each with the page it comes from.
 *
 * A code is more precise than the status beside it, because gateways and versions of Exchange differ in statuses. An answer
 * that leaves open whether the mail was accepted is `uncertain`: 500, 502 and 504 may come after Exchange has accepted it.
 */
import type { FaultClass, Scope } from '../transport.ts';

export type GraphVerdict =
  | { readonly kind: 'accepted' }
  | {
      readonly kind: 'fault';
      readonly fault: FaultClass;
      readonly pauseMs?: number;
      readonly hint?: string;
      /** It is said of one mailbox: the others of the connector may be as they should. */
      readonly ofMailbox?: true;
    }
  | {
      readonly kind: 'rejected';
      readonly scope: Scope;
      readonly tooLarge?: boolean;
      /** Another connector may take it. */
      readonly unfit?: boolean;
      /** The mailbox may not use this sender; the outcome's text names both. */
      readonly sendAs?: boolean;
    }
  | { readonly kind: 'deferred'; readonly scope: Scope }
  | { readonly kind: 'uncertain' };

/** A row matches if everything it names matches. `retryAfter`: the answer has that header. */
export interface GraphRule {
  readonly status?: readonly [from: number, to: number];
  readonly codes?: readonly string[];
  readonly retryAfter?: true;
  readonly verdict: GraphVerdict;
  readonly source: string;
}

const minute = 60_000;
const hour = 60 * minute;

const errorsPage = 'https://learn.microsoft.com/graph/errors';
const exchangeCodes = 'https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode';
const throttling = 'https://learn.microsoft.com/graph/throttling';
const throttlingLimits = 'https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits';
const sendLimits =
  'https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits';
const sendMail = 'https://learn.microsoft.com/graph/api/user-sendmail';
const sendAsOther = 'https://learn.microsoft.com/graph/outlook-send-mail-from-other-user';
const rbac = 'https://learn.microsoft.com/exchange/permissions-exo/application-rbac';

const fault = (fault: FaultClass, hint: string, pauseMs?: number): GraphVerdict =>
  pauseMs === undefined ? { kind: 'fault', fault, hint } : { kind: 'fault', fault, hint, pauseMs };
const ofMailbox = (kind: FaultClass, hint: string, pauseMs?: number): GraphVerdict => ({
  kind: 'fault',
  fault: kind,
  hint,
  ofMailbox: true,
  ...(pauseMs === undefined ? {} : { pauseMs }),
});
const rejected: GraphVerdict = { kind: 'rejected', scope: 'message' };
const tooLarge: GraphVerdict = { kind: 'rejected', scope: 'message', tooLarge: true };
const deferred: GraphVerdict = { kind: 'deferred', scope: 'message' };
const uncertain: GraphVerdict = { kind: 'uncertain' };

export const graphRules: readonly GraphRule[] = [
  { status: [202, 202], verdict: { kind: 'accepted' }, source: sendMail },

  // Throttled: refused unread.
  {
    status: [429, 429],
    codes: ['ErrorSubmissionQuotaExceeded', 'ErrorExceededMessageLimit', 'ErrorExceededHourlyMessageLimit'],
    verdict: ofMailbox('quota', 'the mailbox has used up what it may send', hour),
    source: sendLimits,
  },
  { status: [429, 429], verdict: ofMailbox('throttled', 'Graph throttles the mailbox', minute), source: throttling },
  {
    codes: [
      'ApplicationThrottled',
      'TooManyRequests',
      'ErrorTooManyRequests',
      'activityLimitReached',
      'ErrorServerBusy',
    ],
    verdict: ofMailbox('throttled', 'Graph throttles the mailbox', minute),
    source: throttlingLimits,
  },
  { status: [503, 503], retryAfter: true, verdict: fault('throttled', 'Graph asks for a pause'), source: throttling },
  { status: [509, 509], verdict: fault('throttled', 'Graph throttles the application', minute), source: errorsPage },

  // The mailbox has used up its quota, or is full of its own sent items.
  {
    codes: ['ErrorSubmissionQuotaExceeded', 'ErrorExceededMessageLimit', 'ErrorExceededHourlyMessageLimit'],
    verdict: ofMailbox('quota', 'the mailbox has used up what it may send', hour),
    source: sendLimits,
  },
  {
    codes: ['ErrorQuotaExceeded'],
    verdict: ofMailbox('quota', 'the mailbox that sends is full: empty it, or raise its quota', hour),
    source: exchangeCodes,
  },

  // The sender.
  { codes: ['ErrorSendAsDenied'], verdict: { kind: 'rejected', scope: 'message', sendAs: true }, source: sendAsOther },

  // The application or its mailbox.
  {
    codes: ['ErrorAccountSuspend', 'ErrorAccountDisabled', 'ErrorMessageSubmissionBlocked'],
    verdict: ofMailbox(
      'blocked',
      'the account is blocked from sending: unblock it in the Microsoft 365 Defender portal',
    ),
    source: exchangeCodes,
  },
  {
    codes: [
      'ErrorAccessDenied',
      'Authorization_RequestDenied',
      'ErrorCreateItemAccessDenied',
      'ErrorMailboxLogonFailed',
      'AccessDenied',
    ],
    verdict: ofMailbox(
      'config',
      'the application may not use this mailbox: grant Mail.Send (Mail.ReadWrite for large messages) with admin consent, or put the mailbox into the scope of its role; a change takes up to two hours',
    ),
    source: rbac,
  },
  {
    codes: [
      'MailboxNotEnabledForRESTAPI',
      'MailboxNotSupportedForRESTAPI',
      'ErrorNonExistentMailbox',
      'ErrorInvalidUser',
      'Request_ResourceNotFound',
      'ResourceNotFound',
    ],
    verdict: ofMailbox('config', 'there is no such mailbox in Exchange Online: check the address, and its licence'),
    source: errorsPage,
  },

  // The message.
  {
    codes: [
      'ErrorMessageSizeExceeded',
      'ErrorAttachmentSizeLimitExceeded',
      'ErrorDataSizeLimitExceeded',
      'RequestEntityTooLarge',
    ],
    verdict: tooLarge,
    source: exchangeCodes,
  },
  { status: [413, 413], verdict: tooLarge, source: 'https://learn.microsoft.com/graph/api/user-post-messages' },
  { codes: ['ErrorExceededMaxRecipientLimit'], verdict: { ...rejected, unfit: true }, source: exchangeCodes },
  {
    codes: [
      'ErrorInvalidRecipients',
      'ErrorMissingRecipients',
      'ErrorInvalidSmtpAddress',
      'ErrorMailRecipientNotFound',
      'ErrorRecipientNotFound',
      'ErrorMimeContentInvalid',
      'ErrorMimeContentInvalidBase64String',
      'ErrorMimeContentConversionFailed',
      'ErrorContentConversionFailed',
      'ErrorItemCorrupt',
      'ErrorCorruptData',
      'ErrorVirusDetected',
      'ErrorMessageBlocked',
    ],
    verdict: rejected,
    source: exchangeCodes,
  },

  // The draft is gone: sent, or deleted by a verification.
  {
    codes: ['ErrorItemNotFound'],
    verdict: uncertain,
    source: 'https://learn.microsoft.com/graph/outlook-immutable-id',
  },

  // Temporary faults of Exchange before anything is stored.
  {
    codes: [
      'ErrorMailboxMoveInProgress',
      'ErrorExceededConnectionCount',
      'ErrorADUnavailable',
      'ErrorADOperation',
      'ErrorIrresolvableConflict',
      'ErrorInvalidChangeKey',
      'ErrorStaleObject',
    ],
    verdict: deferred,
    source: exchangeCodes,
  },

  // By status.
  { status: [401, 401], verdict: fault('auth', 'Graph refuses a new token, too'), source: errorsPage },
  { status: [402, 402], verdict: fault('config', 'Graph asks for a payment'), source: errorsPage },
  {
    status: [403, 403],
    verdict: ofMailbox(
      'config',
      'Graph refuses the application: check its permissions, and the policies of the tenant',
    ),
    source: errorsPage,
  },
  {
    status: [404, 404],
    verdict: ofMailbox('config', 'Graph does not know the mailbox: check the address, and cloud'),
    source: errorsPage,
  },
  { status: [408, 408], verdict: uncertain, source: errorsPage },
  { status: [409, 409], verdict: deferred, source: errorsPage },
  { status: [412, 412], verdict: deferred, source: errorsPage },
  { status: [423, 423], verdict: deferred, source: errorsPage },
  { status: [400, 499], verdict: rejected, source: errorsPage },
  { status: [507, 507], verdict: ofMailbox('quota', 'the mailbox that sends is full', hour), source: errorsPage },
  {
    status: [300, 399],
    verdict: fault('config', 'Graph redirects to another host, which is not followed: check cloud'),
    source: errorsPage,
  },
  // 500, 502, 503 without Retry-After, 504; 2xx that are no 202 (seen with nothing sent).
  { verdict: uncertain, source: 'https://github.com/microsoftgraph/microsoft-graph-docs/issues/13979' },
];
