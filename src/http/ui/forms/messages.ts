/** What is done with one message: each as the API does it, and told on the page of the message. */
import { contentPage } from '../pages/content.ts';
import { problemPage } from '../pages/problem.ts';
import { filled, given, told, type Done, type Form, type FormAct } from '../form.ts';
import { hrefOfMessage } from '../hrefs.ts';
import { perform } from '../perform.ts';

function plain(route: string, said: string): FormAct {
  return (visit, _form, [id = '']) => told(visit, route, { params: { id } }, hrefOfMessage(id), () => said);
}

const outcomes: Readonly<Record<string, string>> = {
  sent: 'It is settled as sent.',
  retry: 'It is sent again.',
  drop: 'It is given up.',
};

/** Dead letters are replayed and dropped by an operation, also one alone: so it is in the list, and the audit has it. */
function letter(route: 'replayDeadLetters' | 'dropDeadLetters'): FormAct {
  return async (visit, form, [id = '']): Promise<Done> => {
    const via = route === 'replayDeadLetters' ? filled(form, 'via') : undefined;
    const body = given({ ids: [id], reason: filled(form, 'reason'), via });
    const words =
      route === 'replayDeadLetters' ? `It is replayed${via === undefined ? '' : ` through ${via}`}` : 'It is dropped';
    const operation = (made: Readonly<Record<string, unknown>>): string =>
      `${words}, by the operation ${String(made['id'])}.`;
    return told(visit, route, { body }, hrefOfMessage(id), operation);
  };
}

export const messageForms: readonly Form[] = [
  { path: '/ui/messages/*/cancel', act: plain('cancelMessage', 'It is cancelled.') },
  { path: '/ui/messages/*/send-now', act: plain('sendMessageNow', 'It is next in line.') },
  {
    path: '/ui/messages/*/resend',
    act: (visit, _form, [id = '']) =>
      told(
        visit,
        'resendMessage',
        { params: { id } },
        hrefOfMessage(id),
        (sent) => `It is sent once more, as ${String(sent['id'])}.`,
      ),
  },
  {
    path: '/ui/messages/*/resolve',
    act(visit, form, [id = '']) {
      const as = filled(form, 'as') ?? '';
      const body = given({ as, reason: filled(form, 'reason') });
      return told(
        visit,
        'resolveMessage',
        { params: { id }, body },
        hrefOfMessage(id),
        () => outcomes[as] ?? 'It is resolved.',
      );
    },
  },
  { path: '/ui/messages/*/replay', act: letter('replayDeadLetters') },
  { path: '/ui/messages/*/drop', act: letter('dropDeadLetters') },
  {
    path: '/ui/messages/*/content',
    async act(visit, _form, [id = '']) {
      const read = await perform('getMessageContent', { params: { id } }, visit.asker);
      return { page: read.ok ? contentPage(id, read.body) : problemPage(read.problem) };
    },
  },
];
