/** `GET /v1/messages`: finds messages, the newest first, a page at a time. */
import { z } from 'zod';
import { ledgerStates } from '../../../queue/ledger/ledger.ts';
import { mayUse } from '../access.ts';
import { json, problem, route } from '../route.ts';
import { connectorId, found, foundOf, timeInput } from '../schemas.ts';

const filter = z.string().min(1).max(4_096);
const defaultLimit = 50;
const maxLimit = 500;
const metadataName = 'metadata.';

/** `metadata.KEY` has any key, so the object is loose, and other names are refused by hand. */
const query = z.looseObject({
  recipient: filter.optional().meta({ description: 'Address of a recipient.' }),
  from: filter.optional().meta({ description: 'From address; needs `index.from`.' }),
  connector: connectorId.optional(),
  state: z.enum(ledgerStates).optional(),
  bounced: z.literal('true').optional().meta({ description: 'Only those of which something came back.' }),
  since: timeInput.optional().meta({ description: 'Accepted at this time or later.' }),
  until: timeInput.optional().meta({ description: 'Accepted at this time or earlier.' }),
  messageId: filter.optional().meta({ description: 'Message-ID, or the id by which a server took the message.' }),
  cursor: z.string().max(300).optional().meta({ description: '`next` of the page before.' }),
  limit: z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit),
});

export const searchRoutes = [
  route({
    method: 'GET',
    path: '/v1/messages',
    name: 'findMessages',
    summary: 'Finds messages, the newest first',
    description:
      'All filters that are given must match; letter case does not matter. `metadata.KEY=VALUE` finds by a key of the metadata. A filter without an index is refused with `not-indexed`; docs/search.md says what is indexed. A message that waits in the intake is looked for among at most 5,000 jobs of each of its lists; `complete` is false where there are more.',
    scope: 'messages:read',
    query,
    answers: {
      200: {
        description: 'A page. `complete` is false where a message that matches may be missing.',
        body: z.object({ items: z.array(found), next: z.string().nullable(), complete: z.boolean() }),
      },
    },
    problems: ['not-indexed', 'query-invalid'],
    async handle(
      { query: { since, until, recipient, from, connector, state, bounced, messageId, cursor, limit, ...rest } },
      context,
    ) {
      const { token, tools } = context;
      const metadata: [string, string][] = [];
      for (const [name, value] of Object.entries(rest)) {
        const key = name.startsWith(metadataName) ? name.slice(metadataName.length) : '';
        if (key === '' || typeof value !== 'string') {
          const message = key === '' ? 'is not known here' : 'is given more than once';
          const issues = [{ field: name.slice(0, 100), rule: 'unknown-field', message }];
          return problem('invalid-request', `${name.slice(0, 100)} ${message}`, { issues });
        }
        metadata.push([key, value]);
      }
      const operator = await tools.operator();
      const page = await operator.messages({
        recipient,
        from,
        connector,
        state,
        bounced: bounced === undefined ? undefined : true,
        messageId,
        metadata: Object.fromEntries(metadata),
        since: since === undefined ? undefined : Date.parse(since),
        until: until === undefined ? undefined : Date.parse(until),
        cursor: cursor ?? null,
        limit,
      });
      // A page of a token that is limited to some From addresses may have fewer than `limit`, also none; `next` leads on.
      const items = page.items.filter((item) => mayUse(token, item.from)).map(foundOf);
      return json({ items, next: page.next, complete: page.complete });
    },
  }),
];
