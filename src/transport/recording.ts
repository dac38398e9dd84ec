/** A transport that sends nothing: it records every mail and plays a script of outcomes. For tests, in this repository and in applications. */
import { askFence, createAttempts } from './attempts.ts';
import type { CheckResult, Outcome, OutgoingMail, RecipientOutcome, SendContext, Transport } from './transport.ts';

/** One step: a whole outcome, the outcome of every recipient (`open`: rejected, in words that may mean the connector), or a function of the mail. */
export type RecordingStep =
  | Outcome
  | RecipientOutcome['outcome']
  | 'open'
  | ((mail: OutgoingMail, context: SendContext) => Outcome | Promise<Outcome>);

export interface RecordingTransport extends Transport {
  readonly kind: 'recording';
  /** Mails that passed the fence, in order. */
  readonly mails: readonly OutgoingMail[];
  readonly closed: boolean;
}

export interface RecordingTransportOptions {
  /** One step per send; after its end everything is accepted. A step that is a function may wait, and should heed the signal. */
  readonly script?: readonly RecordingStep[];
  /** The result of check(). Default: a success. */
  readonly check?: CheckResult;
}

export function createRecordingTransport(options: RecordingTransportOptions = {}): RecordingTransport {
  const mails: OutgoingMail[] = [];
  const steps = [...(options.script ?? [])];
  const attempts = createAttempts((text) => text);

  const play = async (mail: OutgoingMail, context: SendContext): Promise<Outcome> => {
    const stop = await askFence(context);
    if (stop !== null) return stop;
    mails.push(mail);
    const step = steps.shift() ?? 'accepted';
    if (typeof step === 'string') return everyRecipient(mail, step);
    return typeof step === 'function' ? step(mail, context) : step;
  };

  return {
    kind: 'recording',
    mails,
    get closed() {
      return attempts.closed;
    },
    // A script that throws is a mistake in the test; send() must not reject even then.
    send: (mail, context) =>
      attempts.run(
        context.signal,
        () => play(mail, context),
        () => everyRecipient(mail, 'deferred'),
      ),
    async check() {
      return options.check ?? { ok: true, detail: 'recording' };
    },
    close: () => attempts.close(),
  };
}

const replies: Readonly<Record<RecipientOutcome['outcome'], RecipientOutcome['reply']>> = {
  accepted: { code: '250', enhancedCode: '2.0.0', text: 'recorded' },
  deferred: { code: '450', enhancedCode: '4.0.0', text: 'scripted: not now' },
  rejected: { code: '550', enhancedCode: '5.0.0', text: 'scripted: never' },
  uncertain: { code: 'ETIMEDOUT', enhancedCode: null, text: 'scripted: no answer' },
};

function everyRecipient(mail: OutgoingMail, step: RecipientOutcome['outcome'] | 'open'): Outcome {
  const addresses = [...new Set(mail.envelope.to)];
  const outcome = step === 'open' ? 'rejected' : step;
  const open = step === 'open' ? { open: { suspect: null, atSender: false } } : {};
  return {
    kind: 'settled',
    recipients: addresses.map((address) => ({ address, outcome, scope: 'message', reply: replies[outcome], ...open })),
  };
}
