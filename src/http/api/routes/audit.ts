/** `GET /v1/audit`: who did what, newest first. */
import { z } from 'zod';
import { auditActions, isAuditCursor } from '../../../admin/audit.ts';
import { auditJson } from '../../../admin/show.ts';
import { instant, limit, next } from '../operator-schemas.ts';
import { json, route } from '../route.ts';
import { time } from '../schemas.ts';

const entry = z
  .object({
    id: z.string(),
    at: time,
    by: z.string().meta({ description: 'Id of a token, or `user@host`.' }),
    through: z.enum(['api', 'ui', 'cli']),
    client: z.string().nullable().meta({ description: 'IP address.' }),
    action: z.enum(auditActions),
    target: z.string().nullable().meta({ description: 'A connector, a message or an operation.' }),
    reason: z.string().nullable(),
    detail: z.string().nullable(),
    result: z.string().meta({ description: '`done`, `refused`, or the code of an error.' }),
  })
  .meta({ id: 'AuditEntry' });

const text = z.string().min(1).max(300);

export const auditRoutes = [
  route({
    method: 'GET',
    path: '/v1/audit',
    name: 'listAudit',
    summary: 'Lists who did what, newest first',
    scope: 'audit:read',
    query: z.strictObject({
      by: text.optional(),
      action: z.enum(auditActions).optional(),
      target: text.optional(),
      since: instant.optional(),
      until: instant.optional(),
      cursor: z
        .string()
        .refine(isAuditCursor, { error: 'is not the `next` of a page' })
        .optional()
        .meta({ description: '`next` of the page before.' }),
      limit,
    }),
    answers: {
      200: {
        description: 'A page; it may be empty although `next` leads on.',
        body: z.object({ items: z.array(entry), next }),
      },
    },
    async handle({ query: { cursor, limit: most, by, action, target, since, until } }, { tools }) {
      const { audit } = await tools.operator();
      const filter = {
        ...(by === undefined ? {} : { by }),
        ...(action === undefined ? {} : { action }),
        ...(target === undefined ? {} : { target }),
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
      };
      const page = await audit.list(filter, cursor ?? null, most);
      return json({ items: page.items.map(auditJson), next: page.next });
    },
  }),
];
