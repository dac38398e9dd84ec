/** Dead letters that no delivery results in: unreadable jobs, messages without a route, jobs that stalled too often. */
import { printable, type Issue } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { encodeWire } from '../queue/jobs.ts';
import type { DeadLetter, DeadReason } from '../queue/ledger/dead-letters.ts';
import { endStateOf, isDone, type LedgerRow, type RecipientState } from '../queue/ledger/ledger.ts';
import { commit, type LedgerTools, type LedgerWrite } from './ledger-write.ts';
import { shownOf } from './shown.ts';

/** The content of a job as it was found. */
export type Found = Pick<DeadLetter, 'data' | 'form' | 'text'>;

/** Dead-letters a job as it was found. What is wrong with it is in the dead letter's reply. */
export async function deadLetterInvalid(
  { id, issues }: { readonly id: string; readonly issues: readonly Issue[] },
  found: Found,
  enqueuedAtMs: number,
  tools: LedgerTools,
): Promise<void> {
  tools.emit({ event: 'invalid', id, issues });
  const why = issues.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
  const body = { id, found, recipients: [], acceptedAt: enqueuedAtMs, messageId: '' };
  await commit(deadLetter(body, 'invalid-message', null, why, tools), tools);
}

/** Dead-letters a job that was not read. Its row, if it has one, names the recipients; those that have the message keep it. */
export async function deadLetterUnread(
  id: string,
  row: LedgerRow | null,
  about: { readonly found: Found; readonly acceptedAt: number; readonly connector: string | null },
  { reason, why }: { readonly reason: DeadReason; readonly why: string },
  tools: LedgerTools,
): Promise<void> {
  const recipients = (row?.recipients ?? []).map((recipient): RecipientState =>
    isDone(recipient) ? recipient : { ...recipient, outcome: 'rejected', reply: why },
  );
  const { found, connector } = about;
  const known = { acceptedAt: row?.acceptedAt ?? about.acceptedAt, messageId: row?.messageId ?? '' };
  const write = deadLetter({ id, found, recipients, ...known }, reason, connector, why, tools);
  await commit(write, tools);
}

/** Dead-letters a readable message that was not sent. */
export async function deadLetterMessage(
  message: Message & { readonly id: string },
  about: {
    readonly acceptedAt: number;
    readonly messageId: string;
    readonly connector: string | null;
    readonly trace?: string;
  },
  reason: DeadReason,
  why: string,
  tools: LedgerTools,
): Promise<void> {
  const { id, envelope } = message;
  const recipients = envelope.to.map((address): RecipientState => ({
    address,
    outcome: 'rejected',
    code: null,
    reply: why,
  }));
  const found = { data: encodeWire(message), form: 'json' as const };
  const body = { id, found, recipients, ...about, ...shownOf(message, undefined, tools) };
  await commit(deadLetter(body, reason, about.connector, why, tools), tools);
}

interface Body {
  readonly id: string;
  readonly found: Found;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly messageId: string;
  readonly from?: string | null;
  readonly metadata?: Readonly<Record<string, string>> | null;
  readonly trace?: string;
}

function deadLetter(
  { id, found, recipients, acceptedAt, messageId, from = null, metadata = null, trace }: Body,
  reason: DeadReason,
  connector: string | null,
  why: string,
  { now, retentionMs }: LedgerTools,
): LedgerWrite {
  const at = now();
  const reply = printable(why, 1_000);
  const detail = `${reason}: ${printable(why, 300)}`;
  const rejected = recipients.filter((recipient) => !isDone(recipient));
  const dead = rejected.map(({ address, code }) => ({ address, code, reply }));
  return {
    row: { id, connector, rule: 'none', messageId, recipients, acceptedAt, deadline: at, from, metadata, trace },
    token: null,
    settlement: {
      state: endStateOf({ recipients }),
      recipients,
      entry: { at, event: endStateOf({ recipients }), detail, ...(connector === null ? {} : { connector }) },
      retryAt: null,
      reason,
      retentionMs: retentionMs(),
      deadLetter: { id, reason, connector, recipients: dead, at, reply, attempts: 0, acceptedAt, from, ...found },
      countAttempt: false,
      connectorWorks: false,
    },
    events: [
      {
        event: 'dead',
        id,
        connector,
        state: endStateOf({ recipients }),
        reason,
        recipients: dead.length,
        code: null,
        reply,
      },
    ],
    unneeded: [],
  };
}
