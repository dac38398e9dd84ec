/**
 * Asks an SMTP server whether it takes each sender: MAIL, RCPT to the sender itself, RSET. No message follows, so nothing is sent.
 *
 * MAIL alone would not do: Postfix says what it has against a sender only once a recipient is named
 * (https://www.postfix.org/postconf.5.html#smtpd_delay_reject).
 */
import { createClassifier, type Classifier } from './classifier.ts';
import { SmtpFailure } from './failure.ts';
import { withHint } from './hints.ts';
import type { SenderAnswer, SmtpSession } from './session.ts';
import type { ReplyRule, SmtpPhase } from './reply-table.ts';
import type { MissingRight, Reply, SenderCheck } from '../transport.ts';

export interface SendersTask {
  /** Rejects with SmtpFailure. */
  readonly open: (signal: AbortSignal) => Promise<SmtpSession>;
  readonly account: string | null;
  readonly rules: readonly ReplyRule[];
  readonly signal: AbortSignal;
}

/** Servers that look at the sender of the message, which no check sends; and what they do then. */
const lateServers: readonly { readonly host: RegExp; readonly does: string; readonly source: string }[] = [
  {
    host: /(?:^|\.)(?:office365\.com|outlook\.com|office365\.us|partner\.outlook\.cn)$/i,
    does: 'Exchange Online refuses a sender only at the end of a message (5.7.60, 5.2.252)',
    source: 'https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online',
  },
  {
    host: /(?:^|\.)(?:gmail\.com|googlemail\.com)$/i,
    does: 'Gmail refuses no sender, and replaces one that is no alias of the account by the account',
    source: 'https://support.google.com/mail/answer/22370',
  },
];

/** In one session, and in a new one where the server ends it, or after some refusals: many servers delay or end it then. */
export async function trySmtpSenders(
  senders: readonly string[],
  task: SendersTask,
  told: (check: SenderCheck) => void,
): Promise<void> {
  const { signal } = task;
  const classify = createClassifier(task.rules);
  let session: SmtpSession | null = null;
  let lost: Reply | null = null;
  let [cuts, refusals] = [0, 0];
  for (const address of senders) {
    let answer: SenderAnswer | null = null;
    // A session that ended with the last sender says nothing about this one; a fresh one that ends is an answer.
    for (let fresh = false; lost === null && answer === null && !fresh;) {
      if (session?.usable !== true) {
        fresh = true;
        const opened = await opening(task);
        if (signal.aborted) return;
        if (opened instanceof SmtpFailure) {
          lost = withHint(opened.reply);
          break;
        }
        session = opened;
      }
      answer = await session.trySender(address, signal);
      if (signal.aborted) return;
    }
    if (answer !== null) {
      told(judge(address, answer, session?.server.host ?? '', task, classify));
      refusals += answer.reply.code?.startsWith('2') === true ? 0 : 1;
      if (refusals >= maxRefusals) {
        session?.quit();
        refusals = 0;
      }
      continue;
    }
    cuts += 1;
    told(unknown(address, lost ?? cut));
    if (cuts >= maxCuts) lost ??= cut;
  }
  session?.quit();
}

/** In one session: Postfix delays each reply by a second after ten (https://www.postfix.org/postconf.5.html#smtpd_soft_error_limit). */
const maxRefusals = 8;

/** Fresh sessions that end without an answer, each after a login of its own. */
const maxCuts = 3;

const cut: Reply = { code: null, enhancedCode: null, text: 'the server ended the session without an answer' };

async function opening({ open, signal }: SendersTask): Promise<SmtpSession | SmtpFailure> {
  try {
    return await open(signal);
  } catch (error) {
    return error instanceof SmtpFailure ? error : new SmtpFailure('connect', { code: null, text: String(error) });
  }
}

function judge(
  address: string,
  { phase, reply }: SenderAnswer,
  server: string,
  task: SendersTask,
  classify: Classifier,
): SenderCheck {
  const late = lateServers.find(({ host }) => host.test(server));
  if (reply.code?.startsWith('2') === true) {
    if (late !== undefined) return unproven(address, reply, `${late.does}: send a test message`);
    return { address, result: 'ok', right: null, reply, advice: 'the server takes the sender' };
  }
  const right = missingRight(phase, reply, classify);
  const hinted = withHint(reply);
  if (right !== null)
    return { address, result: 'refused', right, reply: hinted, advice: adviceOf(right, address, task) };
  if (phase === 'rcpt') {
    const advice =
      'the server took the sender; it refused the same address as a recipient, which says nothing about it';
    return unproven(address, hinted, advice);
  }
  if (reply.code?.startsWith('5') !== true) return unknown(address, hinted);
  return {
    address,
    result: 'refused',
    right: null,
    reply: hinted,
    advice: 'the server refuses this sender: see its reply',
  };
}

/** Of a reply to RCPT: null as well if it is about the recipient. */
function missingRight(phase: SmtpPhase, reply: Reply, classify: Classifier): MissingRight | null {
  if (reply.code?.startsWith('5') !== true) return null;
  const verdict = classify(phase, reply);
  if (verdict.kind === 'outcome' && verdict.sendAs === true) return 'Send As';
  if (reply.code === '530' || /must (?:first )?authenticate|authentication (?:is )?required/i.test(reply.text ?? '')) {
    return 'login';
  }
  if (verdict.kind === 'fault' && (verdict.fault === 'config' || verdict.fault === 'auth')) return 'relay';
  if (/\bsender address rejected\b|\bsender (?:is )?(?:not|denied|refused)\b/i.test(reply.text ?? '')) return 'Send As';
  return /\brelay(?:ing)? (?:access )?(?:denied|not (?:allowed|permitted))|unable to relay/i.test(reply.text ?? '')
    ? 'relay'
    : null;
}

function adviceOf(right: MissingRight, address: string, { account }: SendersTask): string {
  const who = account === null ? 'a session without login' : `the account ${account}`;
  switch (right) {
    case 'Send As':
      return `let ${who} send as ${address} at the server, or give ${address} a connector with a login of its own`;
    case 'login':
      return `the server takes ${address} only after a login: set smtp.auth`;
    case 'relay':
    case 'Mail.Send':
      return `let ${who} send through the server: it takes no mail of this connector for others`;
    default:
      return right satisfies never;
  }
}

function unproven(address: string, reply: Reply, advice: string): SenderCheck {
  return { address, result: 'unproven', right: null, reply, advice };
}

function unknown(address: string, reply: Reply): SenderCheck {
  return {
    address,
    result: 'unknown',
    right: null,
    reply,
    advice: 'the server answered neither yes nor no: try again',
  };
}
