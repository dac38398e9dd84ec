/** `GET /v1/routes/explain`: which connector would send for a From address, without a message. */
import { z } from 'zod';
import { explain } from '../../../routing/resolve.ts';
import { buildRouteTable } from '../../../routing/table.ts';
import { json, route } from '../route.ts';
import { address } from '../schemas.ts';

const explanation = z
  .object({
    from: z.string(),
    connector: z.string().nullable(),
    rule: z.enum(['exact', 'domain', 'default', 'none']),
    passedOver: z.array(z.object({ connector: z.string(), why: z.string() })),
  })
  .meta({ id: 'RouteExplanation' });

export const routingRoutes = [
  route({
    method: 'GET',
    path: '/v1/routes/explain',
    name: 'explainRoute',
    summary: 'Explains which connector would send for a From address',
    scope: 'connectors:read',
    query: z.strictObject({ from: address.meta({ description: 'From address, with or without a display name.' }) }),
    answers: {
      200: { description: 'The connector, the rule that chose it, and who was passed over.', body: explanation },
    },
    handle({ query }, { tools }) {
      const { connectors, systemDefaultGateway } = tools.config();
      return json(explain(buildRouteTable(connectors, systemDefaultGateway), query.from));
    },
  }),
];
