/** `status ID`: the state of a message, from the ledger. */
import type { Command } from 'commander';
import { PostlaneError, printable } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { MessageStatus, RecipientState } from '../producer/producer.ts';
import type { Action } from './command.ts';
import { openOperator, openProducer, requireConfig } from './compose.ts';
import { noteDelivery } from './delivery.ts';
import { noteFull } from './room.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';

export function addStatus(program: Command, action: Action): void {
  program
    .command('status')
    .argument('<id>', 'id of the message')
    .description('show the state of a message, its recipients and its history')
    .action(
      action(async (call, _options, [id = '']) => {
        const { config } = await requireConfig(call, call.configFile);
        const producer = await openProducer(config);
        try {
          const status = await producer.status(id);
          if (status === null) {
            const next = 'Settled messages are removed after `retention.ledger`.';
            throw new PostlaneError('not-found', `No message has the id "${printable(id, 130)}". ${next}`);
          }
          call.terminal.result(statusJson(status), () => statusLines(status, call.terminal));
          noteDelivery(config, call.terminal);
          if (!call.terminal.json) await noteIfFull(config, call.terminal);
          return 0;
        } finally {
          await producer.close();
        }
      }),
    );
}

async function noteIfFull(config: Config, terminal: Terminal): Promise<void> {
  const operator = await openOperator(config);
  try {
    await noteFull(operator, terminal);
  } finally {
    operator.close();
  }
}

/** Times are ISO 8601, as everywhere in the JSON of the command line. */
export function statusJson(status: MessageStatus): Record<string, unknown> {
  const { id, state, connector, attempts, recipients, history, retryAt, messageId, reason } = status;
  const { from, rule, acceptedAt, deadline, submittedBy, attemptLog, size } = status;
  return {
    id,
    state,
    connector,
    attempts,
    recipients: recipients.map(recipientJson),
    history: history.map((entry) => ({ ...entry, at: iso(entry.at) })),
    attemptLog: attemptLog.map((entry) => ({ ...entry, at: iso(entry.at) })),
    size,
    messageId,
    reason,
    retryAt: retryAt === null ? null : iso(retryAt),
    from,
    rule,
    acceptedAt: iso(acceptedAt),
    deadline: deadline === null ? null : iso(deadline),
    submittedBy,
  };
}

export function recipientJson({ bounce, ...recipient }: RecipientState): Record<string, unknown> {
  return bounce === undefined ? recipient : { ...recipient, bounce: { ...bounce, at: iso(bounce.at) } };
}

export function statusLines(status: MessageStatus, { bold }: Terminal): string[] {
  const { id, state, reason, connector, attempts, recipients, history, retryAt } = status;
  const facts = [
    `${bold(id)}  ${state}${reason === null ? '' : ` (${reason})`}`,
    `connector ${connector ?? '-'}, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`,
    ...(retryAt === null ? [] : [`next attempt not before ${iso(retryAt)}`]),
  ];
  const people = table(
    recipients,
    [
      { title: 'RECIPIENT', cell: ({ address }) => address },
      { title: 'OUTCOME', cell: ({ outcome }) => outcome },
      { title: 'CODE', cell: ({ code }) => code },
      { title: 'REPLY', cell: ({ reply }) => reply },
      ...(recipients.some(({ bounce }) => bounce !== undefined)
        ? [{ title: 'CAME BACK', cell: ({ bounce }: RecipientState) => cameBack(bounce) }]
        : []),
    ],
    bold,
  );
  const life = table(
    history,
    [
      { title: 'TIME', cell: ({ at }) => iso(at) },
      { title: 'EVENT', cell: ({ event }) => event },
      { title: 'CONNECTOR', cell: (entry) => entry.connector ?? null },
      { title: 'ATTEMPT', align: 'right', cell: (entry) => entry.attempt ?? null },
      { title: 'DETAIL', cell: (entry) => entry.detail ?? null },
    ],
    bold,
  );
  return [...facts, '', ...people, '', ...life];
}

function cameBack(bounce: RecipientState['bounce']): string | null {
  if (bounce === undefined) return null;
  const { action, smtpCode, status, diagnostic } = bounce;
  return [action, diagnostic ?? [smtpCode, status].filter(Boolean).join(' ')].filter(Boolean).join(': ');
}
