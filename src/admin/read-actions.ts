/** What may be done with a message now: reads what decides it (message-actions.ts). */
import { terminalStates } from '../queue/ledger/ledger.ts';
import type { OpenQueues } from '../queue/open.ts';
import { intakeJob } from '../queue/waiting.ts';
import { actionsOf, type ActionAnswer } from './message-actions.ts';

/** What may be done with a message now, and why not. null if its id is unknown. */
export async function readActions(id: string, open: OpenQueues): Promise<ActionAnswer[] | null> {
  const [row, letter, kept] = await Promise.all([
    open.ledger.read(id),
    open.deadLetters.form(id),
    open.keptContent(id),
  ]);
  const waiting = row === null ? await intakeJob(open, id) : null;
  if (row === null && waiting === null && letter === null) return null;
  const scheduled = waiting !== null && waiting.delay > 0;
  const state = row?.state ?? (waiting === null ? 'dead' : scheduled ? 'scheduled' : 'queued');
  return actionsOf({
    state,
    recipients: row?.recipients ?? [],
    attemptOpen: row?.open !== null && row?.open !== undefined,
    setAside: row?.setAside ?? false,
    letter: letter === null ? null : { form: letter },
    hasContent: kept !== null || letter === 'json' || !terminalStates.has(state),
  });
}
