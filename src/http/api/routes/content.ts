/** `GET /v1/messages/{id}/content`: what a message says, where it is kept. */
import { z } from 'zod';
import { mayUse, senderOf } from '../access.ts';
import { actorOf } from '../operator-schemas.ts';
import { json, problem, route } from '../route.ts';
import { messageId } from '../schemas.ts';
import { outboundMessage } from './submit.ts';

export const contentRoutes = [
  route({
    method: 'GET',
    path: '/v1/messages/{id}/content',
    name: 'getMessageContent',
    summary: 'Shows what a message says',
    description:
      'In the form in which it can be submitted. Kept until the message is settled; of a dead letter for as long as the letter is. Content above 64 KiB is a reference (`ref`, `size`). Each look is in the audit.',
    scope: 'content:read',
    params: z.object({ id: messageId }),
    answers: { 200: { description: 'The message.', body: outboundMessage } },
    problems: ['not-found', 'key-missing'],
    async handle({ params: { id } }, context) {
      const { token, tools } = context;
      const { producer, config } = tools;
      const [status, operator] = await Promise.all([producer.status(id), tools.operator()]);
      if (status === null || !mayUse(token, senderOf(status, config()))) {
        return problem('not-found', 'no message has this id', { id });
      }
      const content = await operator.content(id);
      const note = { action: 'read-content', target: id, reason: null, detail: null } as const;
      await operator.as(actorOf(context), config()).note(note, content === null ? 'not-found' : 'done');
      if (content !== null) return json(content);
      return problem('not-found', 'its content is not kept any more', { id, more: { state: status.state } });
    },
  }),
];
