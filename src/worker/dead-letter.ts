/** Dead letters that no delivery results in: unreadable jobs, messages without a route, jobs that stalled too often. */
import { printable, type Issue } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { encodeWire } from '../queue/jobs.ts';
import type { DeadReason } from '../queue/ledger/dead-letters.ts';
import type { RecipientState } from '../queue/ledger/ledger.ts';
import { commit, type LedgerTools, type LedgerWrite } from './ledger-write.ts';

/** Dead-letters a job as it was found. What is wrong with it is in the dead letter's reply. */
export async function deadLetterInvalid(
  { id, issues }: { readonly id: string; readonly issues: readonly Issue[] },
  data: unknown,
  enqueuedAtMs: number,
  tools: LedgerTools,
): Promise<void> {
  tools.emit({ event: 'invalid', id, issues });
  const why = issues.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
  const body = { id, data, recipients: [], acceptedAt: enqueuedAtMs, messageId: '' };
  await commit(deadLetter(body, 'invalid-message', null, why, tools), tools);
}

/** Dead-letters a readable message that was not sent. */
export async function deadLetterMessage(
  message: Message & { readonly id: string },
  about: { readonly acceptedAt: number; readonly messageId: string; readonly connector: string | null },
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
  const body = { id, data: encodeWire(message), recipients, ...about };
  await commit(deadLetter(body, reason, about.connector, why, tools), tools);
}

interface Body {
  readonly id: string;
  readonly data: unknown;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly messageId: string;
}

function deadLetter(
  { id, data, recipients, acceptedAt, messageId }: Body,
  reason: DeadReason,
  connector: string | null,
  why: string,
  { now, retentionMs }: LedgerTools,
): LedgerWrite {
  const at = now();
  const reply = printable(why, 1_000);
  const detail = `${reason}: ${printable(why, 300)}`;
  const dead = recipients.map(({ address, code }) => ({ address, code, reply }));
  return {
    row: { id, connector, rule: 'none', messageId, recipients, acceptedAt, deadline: at },
    token: null,
    settlement: {
      state: 'dead',
      recipients,
      entry: { at, event: 'dead', detail, ...(connector === null ? {} : { connector }) },
      retryAt: null,
      reason,
      retentionMs: retentionMs(),
      deadLetter: { id, reason, connector, recipients: dead, at, reply, attempts: 0, acceptedAt, data },
      countAttempt: false,
      connectorWorks: false,
    },
    events: [{ event: 'dead', id, connector, reason, recipients: recipients.length, code: null, reply }],
    unneeded: [],
  };
}
