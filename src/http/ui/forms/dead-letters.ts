/** What is done with many dead letters: a preview, and then an operation that replays or drops what the preview has selected. */
import { sends } from '../../../routing/connector.ts';
import { confirmedFrom, previewPage } from '../pages/preview.ts';
import { problemPage } from '../pages/problem.ts';
import { askedOf, filterOf } from '../pages/dead-letters.ts';
import { filled, given, told, type Done, type Form, type FormAct } from '../form.ts';
import type { Visit } from '../visit.ts';

const list = '/ui/dead-letters';

function begin(kind: 'replay' | 'drop'): FormAct {
  return async (visit, form): Promise<Done> => {
    const count = filled(form, 'count');
    const typed = filled(form, 'confirm');
    const isMany = Number(count ?? 0) >= confirmedFrom;
    if ((typed !== undefined || isMany) && typed !== count) {
      const text = `Not done: you typed ${typed ?? 'nothing'}, and ${count ?? 'none'} were selected.`;
      return { to: list, notice: { good: false, text } };
    }
    const rate = filled(form, 'rate');
    const body = given({
      selection: filled(form, 'selection'),
      via: kind === 'replay' ? filled(form, 'via') : undefined,
      ratePerSecond: rate === undefined ? undefined : Number(rate),
      reason: filled(form, 'reason'),
    });
    const route = kind === 'replay' ? 'replayDeadLetters' : 'dropDeadLetters';
    const said = (made: Readonly<Record<string, unknown>>): string =>
      `The ${kind} of ${String(made['total'])} messages has begun.`;
    return told(visit, route, { body }, list, said, () => '/ui/operations');
  };
}

/** A preview changes nothing, and is a page: so it asks the operator itself, with the checks of the API. */
function refusal({ can, token, tools }: Visit, via: string | null): string | null {
  if (!can('dead:read')) return `A preview needs the scope dead:read, which the token ${token.id} does not have.`;
  if (token.from !== null)
    return `The token ${token.id} is limited to some From addresses, and may list dead letters alone.`;
  const isSender = tools.config().connectors.some(({ id, direction }) => id === via && sends(direction));
  return via === null || isSender ? null : 'This connector is not configured, or never sends.';
}

export const deadLetterForms: readonly Form[] = [
  {
    path: '/ui/dead-letters/preview',
    async act(visit, form): Promise<Done> {
      const asked = askedOf(form);
      const kind = form.get('action') === 'drop' ? 'drop' : 'replay';
      const via = kind === 'replay' ? (filled(form, 'via') ?? null) : null;
      const refused = refusal(visit, via);
      if (refused !== null) return { page: problemPage({ code: 'forbidden', detail: refused }) };
      const { operator, tools } = visit;
      const preview = await operator.preview(tools.config(), { kind, filter: filterOf(asked), via });
      return { page: previewPage(kind, asked, via, preview, visit) };
    },
  },
  { path: '/ui/dead-letters/replay', act: begin('replay') },
  { path: '/ui/dead-letters/drop', act: begin('drop') },
];
