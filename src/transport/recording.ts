/** A transport that sends nothing: it remembers every mail and plays a script of outcomes. For tests, here and at users'. */
import type { CheckResult, Outcome, OutgoingMail, RecipientOutcome, SendContext, Transport } from './transport.ts';

/** One step: the whole outcome, or what happens to every recipient, or a function of the mail. */
export type RecordingStep =
  | Outcome
  | RecipientOutcome['outcome']
  | ((mail: OutgoingMail, context: SendContext) => Outcome | Promise<Outcome>);

export interface RecordingTransport extends Transport {
  readonly kind: 'recording';
  /** Mails whose fence said yes, in order. */
  readonly mails: readonly OutgoingMail[];
  readonly closed: boolean;
}

/**
 * `script` is played one step per send; after its end everything is accepted. A step that is a function may wait, and
 * has the signal to heed. `check` is what check() answers, by default that all is well.
 */
export function createRecordingTransport(
  options: { readonly script?: readonly RecordingStep[]; readonly check?: CheckResult } = {},
): RecordingTransport {
  const mails: OutgoingMail[] = [];
  const steps = [...(options.script ?? [])];
  const running = new Set<Promise<unknown>>();
  let closed = false;

  const play = async (mail: OutgoingMail, context: SendContext): Promise<Outcome> => {
    if (closed || context.signal.aborted) return { kind: 'stopped', why: 'signal' };
    if (!(await context.fence().catch(() => false))) return { kind: 'stopped', why: 'fence' };
    if (context.signal.aborted) return { kind: 'stopped', why: 'signal' };
    mails.push(mail);
    const step = steps.shift() ?? 'accepted';
    if (typeof step === 'string') return everyRecipient(mail, step);
    return typeof step === 'function' ? step(mail, context) : step;
  };

  return {
    kind: 'recording',
    mails,
    get closed() {
      return closed;
    },
    async send(mail, context) {
      const sending = play(mail, context);
      running.add(sending);
      try {
        return await sending;
      } catch {
        // A script that throws is a mistake of the test; the contract still holds.
        return everyRecipient(mail, 'deferred');
      } finally {
        running.delete(sending);
      }
    },
    async check() {
      return options.check ?? { ok: true, detail: 'recording' };
    },
    async close() {
      closed = true;
      await Promise.allSettled(running);
    },
  };
}

const replies: Readonly<Record<RecipientOutcome['outcome'], RecipientOutcome['reply']>> = {
  accepted: { code: '250', enhancedCode: '2.0.0', text: 'recorded' },
  deferred: { code: '450', enhancedCode: '4.0.0', text: 'scripted: not now' },
  rejected: { code: '550', enhancedCode: '5.0.0', text: 'scripted: never' },
  uncertain: { code: 'ETIMEDOUT', enhancedCode: null, text: 'scripted: no answer' },
};

function everyRecipient(mail: OutgoingMail, outcome: RecipientOutcome['outcome']): Outcome {
  const addresses = [...new Set(mail.envelope.to)];
  return {
    kind: 'settled',
    recipients: addresses.map((address) => ({ address, outcome, scope: 'message', reply: replies[outcome] })),
  };
}
