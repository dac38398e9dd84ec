/** Routes: the table of patterns, and which connector would send for a From address, without a message. */
import { z } from 'zod';
import { sendingJson, sendingOf } from '../../../transport/proxy.ts';
import { createRoutes } from '../../../admin/routes.ts';
import { json, route } from '../route.ts';
import { address, sending } from '../schemas.ts';

const explanation = z
  .object({
    from: z.string(),
    connector: z.string().nullable(),
    rule: z.enum(['exact', 'domain', 'default', 'none']),
    passedOver: z.array(z.object({ connector: z.string(), why: z.string() })),
    limits: z.looseObject({ concurrency: z.int() }).nullable().meta({ description: 'Of the connector.' }),
    ...sending,
    fallback: z
      .array(z.object({ connector: z.string(), maySend: z.boolean() }))
      .meta({ description: 'Who stands in while the connector is at fault, in the order in which they are asked.' }),
    fallbackAfterMs: z.number().nullable(),
    fallbackAtOnce: z.array(z.string()).meta({ description: 'Faults that are not waited for.' }),
  })
  .meta({ id: 'RouteExplanation' });

const table = z
  .object({
    items: z.array(
      z.object({
        pattern: z.string().meta({ description: '`local@domain`, `*@domain`, or `*` for everything else.' }),
        rule: z.enum(['exact', 'domain', 'default']),
        connector: z.string(),
      }),
    ),
    neverChosen: z.array(z.object({ connector: z.string(), why: z.string() })),
    unmonitoredAddress: z.string().nullable().meta({ description: 'The From of messages that name none.' }),
    systemDefaultGateway: z.string().nullable().meta({ description: 'null is `disabled`.' }),
  })
  .meta({ id: 'RouteTable' });

export const routingRoutes = [
  route({
    method: 'GET',
    path: '/v1/routes',
    name: 'listRoutes',
    summary: 'Lists which addresses each connector sends for',
    scope: 'connectors:read',
    answers: { 200: { description: 'In the order in which they are asked.', body: table } },
    handle(_input, { tools }) {
      const config = tools.config();
      const routes = createRoutes(config);
      return json({
        items: routes.patterns(),
        neverChosen: routes.neverChosen(),
        unmonitoredAddress: config.unmonitoredAddress?.address ?? null,
        systemDefaultGateway: config.systemDefaultGateway,
      });
    },
  }),
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
      const config = tools.config();
      const route = createRoutes(config).explain(query.from);
      const chosen = config.connectors.find(({ id }) => id === route.connector);
      return json({ ...route, limits: chosen?.limits ?? null, ...sendingJson(sendingOf(chosen ?? null)) });
    },
  }),
];
