/** One message: where it stands, what happened to it, and its cancellation. */
import { z } from 'zod';
import type { MessageStatus } from '../../../producer/producer.ts';
import { mayUse, senderOf } from '../access.ts';
import { json, problem, route, type Context, type Reply } from '../route.ts';
import { historyOf, history, message, messageId, messageOf } from '../schemas.ts';

const params = z.object({ id: messageId });
const unknown = 'no message has this id; settled ones are removed after `retention.ledger`';

export const messageRoutes = [
  route({
    method: 'GET',
    path: '/v1/messages/{id}',
    name: 'getMessage',
    summary: 'Shows where a message stands',
    scope: 'messages:read',
    params,
    answers: { 200: { description: 'The message.', body: message } },
    problems: ['not-found'],
    handle: ({ params }, context) => withStatus(context, params.id, (status) => json(messageOf(status))),
  }),
  route({
    method: 'GET',
    path: '/v1/messages/{id}/events',
    name: 'listMessageEvents',
    summary: 'Lists what happened to a message, oldest first',
    scope: 'messages:read',
    params,
    answers: { 200: { description: 'Its history.', body: z.object({ items: z.array(history) }) } },
    problems: ['not-found'],
    handle: ({ params }, context) =>
      withStatus(context, params.id, (status) => json({ items: status.history.map(historyOf) })),
  }),
  route({
    method: 'POST',
    path: '/v1/messages/{id}/cancel',
    name: 'cancelMessage',
    summary: 'Cancels a message',
    description: 'A message of which an attempt is under way, or that reached a recipient, cannot be cancelled.',
    scope: 'messages:cancel',
    params,
    answers: { 200: { description: 'It will not be sent.', body: message } },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id } }, context) =>
      withStatus(context, id, async (status) => {
        const { tools } = context;
        const cancelled = await tools.producer.cancel(id);
        const after = (await tools.producer.status(id)) ?? status;
        if (cancelled || after.state === 'cancelled') return json(messageOf(after));
        return problem('conflict', `it is ${after.state}`, { id, more: { state: after.state } });
      }),
  }),
];

/** What another may not see is not there. */
async function withStatus(
  { token, tools: { producer, config } }: Context,
  id: string,
  use: (status: MessageStatus) => Reply | Promise<Reply>,
): Promise<Reply> {
  const status = await producer.status(id);
  if (status === null || !mayUse(token, senderOf(status, config()))) return problem('not-found', unknown, { id });
  return use(status);
}
