/** The suppression list: addresses that get no mail. */
import { z } from 'zod';
import { maxSuppressedAtOnce, suppressionJson } from '../../../admin/suppressions.ts';
import { parseAddress, routingKey } from '../../../message/address.ts';
import { latestEnd, maxSuppressionReason, suppressionOrigins } from '../../../queue/suppressions.ts';
import { actorOf, cursorOf, encodeCursor, instant, limit, next, pauseLength, reason } from '../operator-schemas.ts';
import { json, noContent, problem, route } from '../route.ts';
import { time } from '../schemas.ts';

const address = z
  .string()
  .min(1)
  .max(320)
  .transform((text, context): string => {
    const parsed = parseAddress(text);
    if (parsed.ok) return routingKey(parsed.value);
    context.addIssue({ code: 'custom', message: parsed.problem, params: { rule: 'address' } });
    return z.NEVER;
  })
  .meta({ description: 'Letter case and the form of the domain do not matter.', examples: ['gone@example.net'] });

const suppression = z
  .object({
    address: z.string().meta({ description: 'In lower case, the domain as A-label.' }),
    reason: z.string().nullable(),
    origin: z.enum(suppressionOrigins),
    by: z.string().nullable().meta({ description: 'Who added it.' }),
    at: time,
    until: time.nullable().meta({ description: 'Until when it counts; null is for good.' }),
  })
  .meta({ id: 'Suppression' });

const entry = z
  .strictObject({
    address,
    reason: z.string().trim().min(1).max(maxSuppressionReason).optional(),
    for: pauseLength.optional().meta({ description: 'How long it counts: `30d`. Default: for good.' }),
    until: instant
      .refine((ms) => ms <= latestEnd, { error: 'must be before the year 10000' })
      .optional()
      .meta({ description: 'Until when it counts.' }),
  })
  .refine((given) => given.for === undefined || given.until === undefined, {
    error: '`for` and `until` exclude each other',
    params: { rule: 'exclusive' },
  })
  .meta({ id: 'NewSuppression' });

type Entry = z.output<typeof entry>;

function entryOf({ address: to, reason: why, for: forMs, until }: Entry, now: number) {
  return { address: to, reason: why ?? null, until: forMs === undefined ? (until ?? null) : now + forMs };
}

const counts = z.object({ added: z.int(), replaced: z.int() }).meta({ id: 'SuppressionCounts' });
const full = problem('conflict', 'the suppression list is full; remove entries first');
const notThere = problem('not-found', 'the address is not on the suppression list');

export const suppressionRoutes = [
  route({
    method: 'GET',
    path: '/v1/suppressions',
    name: 'listSuppressions',
    summary: 'Lists addresses that get no mail, in the order of the addresses',
    scope: 'suppressions:write',
    query: z.strictObject({
      prefix: z.string().min(1).max(320).optional().meta({ description: 'Only addresses that begin so.' }),
      origin: z.enum(suppressionOrigins).optional(),
      cursor: cursorOf(z.string().max(400)).optional(),
      limit,
    }),
    answers: {
      200: {
        description: 'A page; it may be empty although `next` leads on.',
        body: z.object({
          items: z.array(suppression),
          next,
          count: z.int().meta({ description: 'Entries of the whole list.' }),
        }),
      },
    },
    async handle({ query: { prefix, origin, cursor, limit: most } }, { tools }) {
      const { suppressions } = await tools.operator();
      const filter = {
        ...(prefix === undefined ? {} : { prefix: prefix.toLowerCase() }),
        ...(origin === undefined ? {} : { origin }),
      };
      const [page, count] = await Promise.all([
        suppressions.list({ ...filter, after: cursor ?? null, limit: most }),
        suppressions.count(),
      ]);
      return json({ items: page.items.map(suppressionJson), next: encodeCursor(page.next), count });
    },
  }),

  route({
    method: 'POST',
    path: '/v1/suppressions',
    name: 'addSuppression',
    summary: 'Adds an address, or replaces its entry',
    description: 'Attempts that begin later leave the address out. Those under way are not stopped.',
    scope: 'suppressions:write',
    body: entry,
    answers: {
      200: { description: 'It was there, and is replaced.', body: suppression },
      201: { description: 'It is added.', body: suppression },
    },
    problems: ['conflict'],
    async handle({ body }, context) {
      const { tools } = context;
      const operator = await tools.operator();
      const actions = operator.as(actorOf(context), tools.config());
      const done = await actions.suppress([entryOf(body, tools.now())], 'operator');
      if (done.full > 0) return full;
      const found = await operator.suppressions.get(body.address);
      return found === null ? notThere : json(suppressionJson(found), done.added > 0 ? 201 : 200);
    },
  }),

  route({
    method: 'POST',
    path: '/v1/suppressions/batch',
    name: 'importSuppressions',
    summary: `Adds up to ${maxSuppressedAtOnce} addresses, or replaces their entries`,
    scope: 'suppressions:write',
    body: z.strictObject({ entries: z.array(entry).min(1).max(maxSuppressedAtOnce) }),
    answers: { 200: { description: 'All are on the list.', body: counts } },
    problems: ['conflict'],
    async handle({ body: { entries } }, context) {
      const { tools } = context;
      const actions = (await tools.operator()).as(actorOf(context), tools.config());
      const now = tools.now();
      const done = await actions.suppress(
        entries.map((each) => entryOf(each, now)),
        'import',
      );
      return done.full > 0 ? full : json({ added: done.added, replaced: done.replaced });
    },
  }),

  route({
    method: 'GET',
    path: '/v1/suppressions/{address}',
    name: 'getSuppression',
    summary: 'Shows the entry of an address',
    scope: 'suppressions:write',
    params: z.object({ address }),
    answers: { 200: { description: 'The entry.', body: suppression } },
    problems: ['not-found'],
    async handle({ params }, { tools }) {
      const found = await (await tools.operator()).suppressions.get(params.address);
      return found === null ? notThere : json(suppressionJson(found));
    },
  }),

  route({
    method: 'DELETE',
    path: '/v1/suppressions/{address}',
    name: 'removeSuppression',
    summary: 'Takes an address off the list',
    scope: 'suppressions:write',
    params: z.object({ address }),
    query: z.strictObject({ reason: reason.optional() }),
    answers: { 204: { description: 'It gets mail again.' } },
    problems: ['not-found'],
    async handle({ params, query }, context) {
      const { tools } = context;
      const actions = (await tools.operator()).as(actorOf(context), tools.config());
      return (await actions.unsuppress(params.address, query.reason ?? null)) === null ? notThere : noContent;
    },
  }),
];
