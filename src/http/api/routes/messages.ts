/** One message: where it stands, what happened to it, and its cancellation. */
import { z } from 'zod';
import { serverOf } from '../../../transport/proxy.ts';
import { messageActions, type MessageAction } from '../../../admin/message-actions.ts';
import type { MessageStatus } from '../../../producer/producer.ts';
import { mayUse, senderOf } from '../access.ts';
import { actorOf } from '../operator-schemas.ts';
import { json, problem, route, type Context, type Reply } from '../route.ts';
import { attempt, attemptsOf, historyOf, history, message, messageId, messageOf } from '../schemas.ts';

const params = z.object({ id: messageId });
const unknown = 'no message has this id; settled ones are removed after `retention.ledger`';

const action = z
  .object({ action: z.enum(messageActions), allowed: z.boolean(), why: z.string() })
  .meta({ id: 'MessageAction' });

export const messageRoutes = [
  route({
    method: 'GET',
    path: '/v1/messages/{id}',
    name: 'getMessage',
    summary: 'Shows where a message stands',
    scope: 'messages:read',
    params,
    answers: {
      200: {
        description: 'The message, its attempts, and what may be done with it.',
        body: message.extend({ attemptLog: z.array(attempt), actions: z.array(action) }),
      },
    },
    problems: ['not-found'],
    handle: ({ params: { id } }, context) =>
      withStatus(context, id, async (status) => {
        const actions = await (await context.tools.operator()).actions(id);
        const { connectors } = context.tools.config();
        const server = (connector: string | null): string | null =>
          serverOf(connectors.find(({ id: each }) => each === connector) ?? null);
        return json({ ...messageOf(status), attemptLog: attemptsOf(status, server), actions: actions ?? [] });
      }),
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
        const cancelled = await (await tools.operator()).as(actorOf(context), tools.config()).cancel(id);
        const after = (await tools.producer.status(id)) ?? status;
        if (cancelled || after.state === 'cancelled') return json(messageOf(after));
        return problem('conflict', `it is ${after.state}`, { id, more: { state: after.state } });
      }),
  }),
];

/** What another may not see is not there. */
export async function withStatus(
  { token, tools: { producer, config } }: Context,
  id: string,
  use: (status: MessageStatus) => Reply | Promise<Reply>,
): Promise<Reply> {
  const status = await producer.status(id);
  if (status === null || !mayUse(token, senderOf(status, config()))) return problem('not-found', unknown, { id });
  return use(status);
}

/** null if it may be done now; else why not. */
export async function actionsTo({ tools }: Context, id: string, wanted: MessageAction): Promise<Reply | null> {
  const actions = await (await tools.operator()).actions(id);
  const found = actions?.find(({ action: each }) => each === wanted);
  if (found?.allowed !== false) return null;
  return problem('conflict', found.why, { id });
}
