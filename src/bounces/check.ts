/** Proves that the mailboxes of a configuration can be read: what `check --connect` says of them. Changes nothing there. */
import { abortable } from '../async/abort.ts';
import { asError } from '../errors.ts';
import type { ConnectorConfig } from '../config/config.ts';
import { mailboxesOf, type Mailbox } from './mailboxes.ts';
import { MailboxFailure } from './source.ts';

export interface MailboxCheck {
  readonly connector: string;
  readonly protocol: Mailbox['protocol'];
  readonly ok: boolean;
  readonly fault: string | null;
  readonly detail: string;
  readonly durationMs: number;
}

/** `now`: ms since the epoch. */
export async function checkMailboxes(
  connector: ConnectorConfig,
  timeoutMs: number,
  now: () => number,
): Promise<MailboxCheck[]> {
  return Promise.all(mailboxesOf({ connectors: [connector] }, now).map((mailbox) => checkMailbox(mailbox, timeoutMs)));
}

async function checkMailbox({ connector, protocol, source }: Mailbox, timeoutMs: number): Promise<MailboxCheck> {
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const tried = source.check(signal).then(
    (detail) => ({ ok: true, fault: null, detail }),
    (thrown: unknown) => {
      const fault = thrown instanceof MailboxFailure ? thrown.fault : null;
      return { ok: false, fault, detail: asError(thrown).message };
    },
  );
  const result = await abortable(tried, signal, () => {
    return { ok: false, fault: 'unreachable' as const, detail: `no answer within ${timeoutMs} ms` };
  });
  return { connector, protocol, ...result, durationMs: Math.round(performance.now() - startedAt) };
}
