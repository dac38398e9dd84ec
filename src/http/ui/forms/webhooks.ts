/** What is done with a webhook: a test, its dead letters delivered again or dropped, switched on, forgotten. No route of the API does it. */
import { actorOf, reason } from '../../api/operator-schemas.ts';
import { hasScope, missingScope, takeRate } from '../../api/access.ts';
import type { Actions } from '../../../admin/actions.ts';
import { problemOf, type Problem } from '../../problem.ts';
import { filled, type Done, type Form, type FormAct } from '../form.ts';
import { counted } from '../format.ts';
import { hrefOfWebhook } from '../hrefs.ts';
import type { Visit } from '../visit.ts';

/** What came of it: in words if it was done. */
type Answer = { readonly done: string } | { readonly failed: string };

const answerOf = (isDone: boolean, done: string, failed: string): Answer => (isDone ? { done } : { failed });

const eventId = /^[\w:-]{1,100}$/;

/** With the scope, the rate of the token, and an entry in the audit by the actions themselves. */
function acting(work: (actions: Actions, id: string, form: URLSearchParams, visit: Visit) => Promise<Answer>): FormAct {
  return async (visit, form, [id = '']): Promise<Done> => {
    const to = hrefOfWebhook(id);
    const refused = ({ detail }: Pick<Problem, 'detail'>): Done => ({
      to,
      notice: { good: false, text: `Not done: ${detail}.` },
    });
    const { token, tools, operator, asker } = visit;
    if (!hasScope(token, 'connectors:write')) return refused(missingScope(token, 'connectors:write'));
    if (token.from !== null) return refused({ detail: `the token ${token.id} is limited to some From addresses` });
    try {
      const over = await takeRate(token, 1, tools);
      if (over !== null) return refused(over);
      if (!(await isKnown(id, visit))) return refused({ detail: `no webhook has the id ${id}` });
      const actions = operator.as(actorOf({ token, client: asker.client, through: 'ui' }), tools.config());
      const answer = await work(actions, id, form, visit);
      if ('failed' in answer) return refused({ detail: answer.failed });
      return { to, notice: { good: true, text: answer.done } };
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (problem.code === 'internal') throw thrown;
      return refused(problem);
    }
  };
}

async function isKnown(id: string, { tools, operator }: Visit): Promise<boolean> {
  return isConfigured(id, tools) || (await operator.webhooks.known()).includes(id);
}

function isConfigured(id: string, tools: Visit['tools']): boolean {
  return tools.config().webhooks.some((each) => each.id === id);
}

/** null: all of them. */
function eventOf(form: URLSearchParams): { readonly event: string | null } | null {
  const written = filled(form, 'event');
  if (written === undefined) return { event: null };
  return eventId.test(written) ? { event: written } : null;
}

export const webhookForms: readonly Form[] = [
  {
    path: '/ui/webhooks/*/test',
    act: acting(async (actions, id, _form, { tools }) => {
      const tried = await actions.testWebhook(
        id,
        () => tools.testWebhook(id),
        ({ failure }) => failure,
      );
      if (tried.failure !== null) return { failed: `${id} did not take the test event: ${tried.failure}` };
      return { done: `${id} took the test event: HTTP ${String(tried.status)}.` };
    }),
  },
  {
    path: '/ui/webhooks/*/retry',
    act: acting(async (actions, id, form) => {
      const asked = eventOf(form);
      const count = asked === null ? 0 : await actions.retryWebhook(id, asked.event);
      return answerOf(
        count > 0,
        `${counted(count, 'event')} ${count === 1 ? 'is' : 'are'} delivered again.`,
        'there is no such dead letter any more',
      );
    }),
  },
  {
    path: '/ui/webhooks/*/drop',
    act: acting(async (actions, id, form) => {
      const asked = eventOf(form);
      const why = reason.safeParse(form.get('reason') ?? '');
      if (!why.success) return { failed: 'a reason is needed' };
      const count = asked === null ? 0 : await actions.dropWebhookDead(id, asked.event, why.data);
      const what = counted(count, 'dead letter');
      return answerOf(
        count > 0,
        `${what} ${count === 1 ? 'is' : 'are'} dropped.`,
        'there is no such dead letter any more',
      );
    }),
  },
  {
    path: '/ui/webhooks/*/enable',
    act: acting(async (actions, id) =>
      answerOf(await actions.enableWebhook(id), `${id} is switched on.`, `${id} is not switched off`),
    ),
  },
  {
    path: '/ui/webhooks/*/forget',
    act: acting(async (actions, id, _form, { tools }) => {
      if (isConfigured(id, tools)) return { failed: `${id} is in the configuration; remove it there first` };
      await actions.dropWebhook(id);
      return { done: `Nothing is kept of ${id} any more.` };
    }),
  },
];
