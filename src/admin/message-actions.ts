/** What may be done with a message now, and why not: one pure function for API, dashboard and command line. */
import type { LedgerState, RecipientState } from '../queue/ledger/ledger.ts';
import { isDelivered, terminalStates } from '../queue/ledger/ledger.ts';

export const messageActions = ['cancel', 'send-now', 'resend', 'resolve', 'replay', 'drop'] as const;
export type MessageAction = (typeof messageActions)[number];

export interface ActionAnswer {
  readonly action: MessageAction;
  readonly allowed: boolean;
  /** Why it is not allowed, or what it would do. */
  readonly why: string;
}

export interface ActionFacts {
  readonly state: LedgerState;
  readonly recipients: readonly Pick<RecipientState, 'outcome'>[];
  /** An attempt is under way, or has ended without a result. */
  readonly attemptOpen: boolean;
  /** It waits until other messages show whose fault its refusal was. */
  readonly setAside: boolean;
  /** There is a dead letter, and in which form its content is. */
  readonly letter: { readonly form: string } | null;
  /** Its content is there as a whole. */
  readonly hasContent: boolean;
}

export function actionsOf(facts: ActionFacts): ActionAnswer[] {
  return messageActions.map((action) => {
    const refusal = refusals[action](facts);
    return refusal === null
      ? { action, allowed: true, why: effects[action](facts) }
      : { action, allowed: false, why: refusal };
  });
}

/** What stands in the way; null if nothing does. */
const refusals: Readonly<Record<MessageAction, (facts: ActionFacts) => string | null>> = {
  cancel(facts) {
    const { state, attemptOpen } = facts;
    if (state === 'cancelled') return 'It is cancelled.';
    if (terminalStates.has(state)) return `It is settled: ${state}.`;
    if (attemptOpen) return 'An attempt is under way or has no result yet.';
    if (facts.recipients.some(isDelivered))
      return 'A recipient has it; a message can be cancelled only before anyone has it.';
    if (some(facts, 'uncertain')) return 'A recipient may have it; its last attempt has no known result.';
    return null;
  },
  'send-now'(facts) {
    const { state, attemptOpen, setAside } = facts;
    if (state !== 'scheduled' && state !== 'deferred') return 'Only scheduled and deferred messages can be sent now.';
    if (attemptOpen) return 'An attempt is under way or has no result yet.';
    if (some(facts, 'uncertain')) return 'A recipient may have it; its last attempt has no known result.';
    if (setAside) {
      return 'It waits until other messages show whose fault its refusal was; `resume` of the connector tries it again.';
    }
    return null;
  },
  resend: ({ hasContent }) => (hasContent ? null : 'Its content is not kept any more (`retention.content`).'),
  resolve({ state, letter }) {
    if (state !== 'held') return 'Only held messages can be resolved.';
    return letter === null ? 'Its content is gone.' : null;
  },
  replay({ state, letter }) {
    if (letter === null) return 'It has no dead letter.';
    if (state === 'held') return 'It is held, as it may have arrived: resolve it.';
    return letter.form === 'json' || letter.form === 'text'
      ? null
      : 'The content of its dead letter cannot be enqueued.';
  },
  drop: ({ letter }) => (letter === null ? 'It has no dead letter.' : null),
};

const effects: Readonly<Record<MessageAction, (facts: ActionFacts) => string>> = {
  cancel: () => 'It will not be sent.',
  'send-now': ({ state }) =>
    state === 'scheduled' ? 'It is sent now, and its Date is now.' : 'It is tried now, before its next attempt is due.',
  resend(facts) {
    const had = facts.recipients.filter(isDelivered).length;
    const again = had === 0 ? '' : ` ${had} of its recipients would get it twice.`;
    return `It is sent once more to all its recipients, as a new message.${again}`;
  },
  resolve: () => 'As sent: it arrived. As retry: it is sent again. As drop: it is given up.',
  replay: () => 'It is sent again, with the same id and Message-ID, to the recipients who do not have it.',
  drop: () => 'Its dead letter is deleted with its content.',
};

function some({ recipients }: ActionFacts, outcome: RecipientState['outcome']): boolean {
  return recipients.some((recipient) => recipient.outcome === outcome);
}
