/** `GET /v1/events`: what happens, as it happens, by Server-Sent Events. */
import { z } from 'zod';
import { isCursor } from '../../../queue/journal/events.ts';
import { eventSchema } from '../event-text.ts';
import { json, problem, route } from '../route.ts';
import { connectorId } from '../schemas.ts';

const typePattern = /^[a-z-]{1,20}\.(?:[a-z-]{1,30}|\*)$/;

export const eventRoutes = [
  route({
    method: 'GET',
    path: '/v1/events',
    name: 'followEvents',
    summary: 'Follows what happens, by Server-Sent Events',
    description:
      'Without `Last-Event-ID` the stream begins now. A client that comes back within five minutes misses nothing; one that was away for longer gets a `gap`. Events of connectors need `connectors:read` and a token that is not limited to From addresses.',
    scope: 'messages:read',
    headers: z.object({
      'Last-Event-ID': z.string().optional().meta({ description: 'The `id` of the last event that was read.' }),
    }),
    query: z.strictObject({
      type: z
        .union([z.string().regex(typePattern), z.array(z.string().regex(typePattern)).max(20)])
        .optional()
        .meta({ description: 'A type, or `message.*` for all that begin so; may be repeated. Default: all.' }),
      connector: connectorId.optional().meta({ description: 'Only what concerns this connector.' }),
    }),
    answers: { 200: { description: 'The stream.', body: eventSchema, contentType: 'text/event-stream' } },
    problems: ['unavailable'],
    async handle({ query: { type = [], connector = null } }, { token, tools, socket: { request, response } }) {
      const lastEventId = request.headers['last-event-id'] ?? null;
      if (lastEventId !== null && (typeof lastEventId !== 'string' || !isCursor(lastEventId))) {
        const issues = [{ field: 'Last-Event-ID', rule: 'cursor', message: 'is none that an event had' }];
        return problem('invalid-request', 'Last-Event-ID is none that an event had', { issues });
      }
      if (request.method === 'HEAD') return json(null);
      const filter = { types: [type].flat(), connector };
      const joined = await tools.live.join(response, { token, filter, lastEventId, endsAt: null });
      if (joined === 'joined') return { kind: 'streamed' };
      const whose = joined === 'full' ? 'the server' : `the token ${token.id}`;
      return problem('unavailable', `${whose} has as many streams as it may`, { retryAfterSeconds: 30 });
    },
  }),
];
