/** `GET /v1/whoami`: what the token of the request may do. */
import { z } from 'zod';
import { scopes } from '../../../config/scopes.ts';
import { json, route } from '../route.ts';
import { time } from '../schemas.ts';

const whoami = z
  .object({
    id: z.string(),
    scopes: z.array(z.enum(scopes)),
    from: z.array(z.string()).nullable().meta({ description: 'From addresses or `*@domain`; null is every address.' }),
    ratePerMinute: z.int().nullable().meta({ description: 'null is unlimited.' }),
    expiresAt: time.nullable(),
  })
  .meta({ id: 'Token' });

export const tokenRoutes = [
  route({
    method: 'GET',
    path: '/v1/whoami',
    name: 'getToken',
    summary: 'Shows what the token of this request may do',
    scope: 'any',
    answers: { 200: { description: 'The token, without its secret.', body: whoami } },
    handle: (_input, { token }) =>
      json({
        id: token.id,
        scopes: scopes.filter((scope) => token.scopes.has(scope)),
        from: token.from,
        ratePerMinute: token.ratePerMinute,
        expiresAt: token.expiresAt === null ? null : new Date(token.expiresAt).toISOString(),
      }),
  }),
];
