/** What an operator does to one message: sends it now, sends it again, settles it where its last attempt has no known result. */
import { z } from 'zod';
import { actorOf, nothing, reason } from '../operator-schemas.ts';
import { json, problem, route, type Reply } from '../route.ts';
import { message, messageId, messageOf } from '../schemas.ts';
import { actionsTo, withStatus } from './messages.ts';

const params = z.object({ id: messageId });

export const messageActionRoutes = [
  route({
    method: 'POST',
    path: '/v1/messages/{id}/send-now',
    name: 'sendMessageNow',
    summary: 'Sends a scheduled message now, or tries a deferred one now',
    description: 'A scheduled message goes with the Date of now.',
    scope: 'messages:cancel',
    params,
    body: nothing,
    answers: { 200: { description: 'It is next in line.', body: message } },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id } }, context) =>
      withStatus(context, id, async (status) => {
        const refused = await actionsTo(context, id, 'send-now');
        if (refused !== null) return refused;
        const { tools } = context;
        const sent = await (await tools.operator()).as(actorOf(context), tools.config()).sendNow(id);
        const after = (await tools.producer.status(id)) ?? status;
        return sent === 'ok' ? json(messageOf(after)) : late(id, after.state);
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/messages/{id}/resend',
    name: 'resendMessage',
    summary: 'Sends a message once more, as a new one',
    description:
      'The new message has a new id and names the old one in `metadata.resendOf`. It needs the content of the old one, which sent messages keep for `retention.content`.',
    scope: 'messages:send',
    params,
    body: nothing,
    answers: {
      202: {
        description: 'It was accepted. `Location` is the new message.',
        body: z.object({ id: z.string(), resendOf: z.string() }),
      },
    },
    problems: ['not-found', 'conflict', 'message-invalid', 'attachment-missing', 'key-missing', 'redis-full'],
    handle: ({ params: { id } }, context) =>
      withStatus(context, id, async (status) => {
        const refused = await actionsTo(context, id, 'resend');
        if (refused !== null) return refused;
        const { tools } = context;
        const actions = (await tools.operator()).as(actorOf(context), tools.config());
        const sent = await actions.resend(id, (again) => tools.producer.send(again));
        if (sent === null) return late(id, status.state);
        return json({ id: sent.id, resendOf: id }, 202, { Location: `/v1/messages/${sent.id}` });
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/messages/{id}/resolve',
    name: 'resolveMessage',
    summary: 'Settles a held message',
    description: '`sent`: it arrived. `retry`: it is sent again to those who may not have it. `drop`: it is given up.',
    scope: 'dead:write',
    params,
    body: z.strictObject({ as: z.enum(['sent', 'retry', 'drop']), reason: reason.optional() }),
    answers: { 200: { description: 'It is settled, or sent again.', body: message } },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id }, body }, context) =>
      withStatus(context, id, async (status) => {
        const { tools } = context;
        const actions = (await tools.operator()).as(actorOf(context), tools.config());
        const resolved = await actions.resolve(id, body.as, body.reason ?? null);
        const after = (await tools.producer.status(id)) ?? status;
        return resolved ? json(messageOf(after)) : late(id, after.state);
      }),
  }),
];

/** Another was faster. */
function late(id: string, state: string): Reply {
  return problem('conflict', `it is ${state}`, { id, more: { state } });
}
