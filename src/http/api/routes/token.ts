/** `GET /v1/whoami`: what the token of the request may do. */
import { z } from 'zod';
import type { ApiToken } from '../../../config/api.ts';
import { scopes } from '../../../config/scopes.ts';
import { json, route } from '../route.ts';
import { time } from '../schemas.ts';

const whoami = z
  .object({
    id: z.string(),
    scopes: z.array(z.enum(scopes)),
    from: z.array(z.string()).nullable().meta({ description: 'From addresses or `*@domain`; null is every address.' }),
    ratePerMinute: z.int().nullable().meta({ description: 'null is unlimited.' }),
    messagesPerDay: z.int().nullable().meta({ description: 'That it may submit in any 24 hours; null is unlimited.' }),
    recipientsPerDay: z.int().nullable().meta({ description: 'Of those messages.' }),
    used: z
      .object({ messagesPerDay: z.int().nullable(), recipientsPerDay: z.int().nullable() })
      .meta({ description: 'Submitted within the last 24 hours; null where it is unlimited.' }),
    expiresAt: time.nullable(),
  })
  .meta({ id: 'Token' });

const unused = { messagesPerDay: null, recipientsPerDay: null };

/** Only then is Redis asked. */
function hasQuota({ quota }: ApiToken): boolean {
  return quota.messagesPerDay !== null || quota.recipientsPerDay !== null;
}

export const tokenRoutes = [
  route({
    method: 'GET',
    path: '/v1/whoami',
    name: 'getToken',
    summary: 'Shows what the token of this request may do',
    scope: 'any',
    answers: { 200: { description: 'The token, without its secret.', body: whoami } },
    handle: async (_input, { token, tools }) =>
      json({
        id: token.id,
        scopes: scopes.filter((scope) => token.scopes.has(scope)),
        from: token.from,
        ratePerMinute: token.ratePerMinute,
        ...token.quota,
        used: hasQuota(token) ? await (await tools.operator()).senderQuotas.used(token.id, token.quota) : unused,
        expiresAt: token.expiresAt === null ? null : new Date(token.expiresAt).toISOString(),
      }),
  }),
];
