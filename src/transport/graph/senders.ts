/** Asks Graph of each sender whether its mailbox may send, by a message without recipients: what `check --connect` reports beside the login. */
import { eachBounded } from '../../async/bounded.ts';
import { unreachable } from '../../errors.ts';
import type { GraphClient } from './client.ts';
import { readAnswer } from './response.ts';
import type { Reply, SenderCheck } from '../transport.ts';

export interface SendersTask {
  readonly client: GraphClient;
  /** Through which all mail goes; null: the mailbox of each sender. */
  readonly mailbox: string | null;
  readonly requestMs: number;
  /** ms since the epoch. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Workers need the rest of the four that Graph allows for a mailbox. */
const atOnce = 2;

/** What Graph answers a message that it would have taken. */
const withoutRecipients = ['ErrorInvalidRecipients', 'ErrorMissingRecipients'];

/** A throttled connector is not asked on: each request would lengthen the pause. */
export async function tryGraphSenders(
  senders: readonly string[],
  task: SendersTask,
  told: (check: SenderCheck) => void,
): Promise<void> {
  let stopped: Reply | null = null;
  await eachBounded(senders, atOnce, async (address) => {
    if (task.signal.aborted) return;
    if (stopped !== null) return told(unknown(address, stopped, 'not tried after this answer'));
    const check = await trySender(address, task);
    if (task.signal.aborted) return;
    if (check.result === 'unknown') stopped = check.reply;
    told(check);
  });
}

async function trySender(
  address: string,
  { client, mailbox, requestMs, now, signal }: SendersTask,
): Promise<SenderCheck> {
  const user = mailbox ?? address;
  const isOwn = user.toLowerCase() === address.toLowerCase();
  // Without `from` for the mailbox itself, as its mail has it: an alias would be another sender.
  const from = isOwn ? {} : { from: { emailAddress: { address } } };
  const body = { message: { ...from, toRecipients: [] }, saveToSentItems: false };
  const path = ['users', user, 'sendMail'];
  const asked = await client.call({ method: 'POST', path, body, timeoutMs: requestMs }, signal);
  switch (asked.kind) {
    case 'no-token':
      return unknown(address, asked.failure.reply, 'no token was granted');
    case 'no-answer': {
      const { code, message } = asked.failure;
      return unknown(address, { code, enhancedCode: null, text: message }, 'Graph did not answer');
    }
    case 'answer':
      return judge(address, user, isOwn, readAnswer(asked, now()));
    default:
      return unreachable(asked);
  }
}

function judge(
  address: string,
  mailbox: string,
  isOwn: boolean,
  { verdict, reply }: ReturnType<typeof readAnswer>,
): SenderCheck {
  if (verdict.kind === 'rejected' && verdict.sendAs === true) {
    const advice = `grant the mailbox ${mailbox} Send As for ${address} (Add-RecipientPermission), or give ${address} a connector of its own`;
    return { address, result: 'refused', right: 'Send As', reply, advice };
  }
  if (verdict.kind === 'fault' && verdict.fault === 'config') {
    const advice = `grant Mail.Send with admin consent, and see whether an application access policy or the scope of its role leaves ${mailbox} out (Test-ApplicationAccessPolicy, Test-ServicePrincipalAuthorization)`;
    return { address, result: 'refused', right: 'Mail.Send', reply, advice };
  }
  if (verdict.kind === 'fault' && verdict.fault === 'blocked') {
    return { address, result: 'refused', right: null, reply, advice: 'unblock the account' };
  }
  if (verdict.kind === 'rejected' && withoutRecipients.includes(reply.enhancedCode ?? '')) {
    if (isOwn) return { address, result: 'ok', right: null, reply, advice: `the mailbox ${mailbox} may send` };
    // Nothing documents whether Exchange looks at the sender or at the recipients first.
    const advice = `the mailbox ${mailbox} may send; whether as ${address}, Graph may only say of a mail that has a recipient: send a test message`;
    return { address, result: 'unproven', right: null, reply, advice };
  }
  return unknown(address, reply, 'Graph answered neither yes nor no');
}

function unknown(address: string, reply: Reply, advice: string): SenderCheck {
  return { address, result: 'unknown', right: null, reply, advice };
}
