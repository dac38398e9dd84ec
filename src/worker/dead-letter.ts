/** Dead letters that are no delivery's result: jobs that cannot be read, messages that nobody may send, jobs that stalled for good. */
import { printable, type Issue } from '../errors.ts';
import { encodeWire } from '../queue/jobs.ts';
import type { DeadReason } from '../queue/ledger/dead-letters.ts';
import type { Ledger, NewRow, RecipientState } from '../queue/ledger/ledger.ts';
import type { Message } from '../message/message.ts';
import type { Listener } from './events.ts';

export interface BuryTools {
  readonly ledger: Ledger;
  readonly emit: Listener;
  readonly now: () => number;
  readonly retentionMs: number;
}

/** Buries a job as it was found. What is wrong with it is in the dead letter's reply. */
export async function buryInvalid(
  { id, issues }: { readonly id: string; readonly issues: readonly Issue[] },
  data: unknown,
  enqueuedAtMs: number,
  tools: BuryTools,
): Promise<void> {
  tools.emit({ event: 'invalid', id, issues });
  const why = issues.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join('; ');
  await bury(
    { id, data, recipients: [], acceptedAt: enqueuedAtMs, messageId: '' },
    'invalid-message',
    null,
    why,
    tools,
  );
}

/** Buries a readable message that was not sent. */
export async function buryMessage(
  message: Message & { readonly id: string },
  about: { readonly acceptedAt: number; readonly messageId: string; readonly connector: string | null },
  reason: DeadReason,
  why: string,
  tools: BuryTools,
): Promise<void> {
  const { id, envelope } = message;
  const recipients = envelope.to.map((address): RecipientState => ({
    address,
    outcome: 'rejected',
    code: null,
    reply: why,
  }));
  await bury({ id, data: encodeWire(message), recipients, ...about }, reason, about.connector, why, tools);
}

interface Body {
  readonly id: string;
  readonly data: unknown;
  readonly recipients: readonly RecipientState[];
  readonly acceptedAt: number;
  readonly messageId: string;
}

async function bury(
  { id, data, recipients, acceptedAt, messageId }: Body,
  reason: DeadReason,
  connector: string | null,
  why: string,
  { ledger, emit, now, retentionMs }: BuryTools,
): Promise<void> {
  const at = now();
  const reply = printable(why, 1_000);
  const row: NewRow = { id, connector, rule: 'none', messageId, recipients, acceptedAt, deadline: at };
  const answer = await ledger.settle(row, null, {
    state: 'dead',
    recipients,
    entry: {
      at,
      event: 'dead',
      detail: `${reason}: ${printable(why, 300)}`,
      ...(connector === null ? {} : { connector }),
    },
    retryAt: null,
    reason,
    retentionMs,
    deadLetter: {
      id,
      reason,
      connector,
      recipients: recipients.map(({ address, code }) => ({ address, code, reply })),
      at,
      reply,
      attempts: 0,
      acceptedAt,
      data,
    },
    countAttempt: false,
    connectorWorks: false,
  });
  if (answer === 'late') return;
  emit({ event: 'dead', id, connector, reason, recipients: recipients.length, code: null, reply });
}
