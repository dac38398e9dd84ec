/** Dead letters: lists, groups, a preview of what a replay or drop would do, and its beginning as an operation. */
import { z } from 'zod';
import { bulkRefusal, maxIdsAsked, maxRatePerSecond, minRatePerSecond, type BulkChoice } from '../../../admin/bulk.ts';
import type { LetterFilter } from '../../../admin/dead-filter.ts';
import { groupKeys } from '../../../admin/dead-groups.ts';
import { groupJson, operationJson, previewJson } from '../../../admin/show.ts';
import { deadReasons, type DeadLetterSummary } from '../../../queue/ledger/dead-letters.ts';
import { mayUse } from '../access.ts';
import { actorOf, cursorOf, encodeCursor, instant, limit, next, reason } from '../operator-schemas.ts';
import { json, problem, route, type Context, type Reply } from '../route.ts';
import { connectorId, messageId, time, timeOf } from '../schemas.ts';
import { operation } from './operations.ts';

const letterReason = z.enum(deadReasons);
const reply = z.string().max(400).meta({ description: 'As a group shows it: without addresses and numbers.' });
const recipient = z.string().min(1).max(320).meta({ description: 'Address of a recipient.' });

const filter = z
  .strictObject({
    reason: letterReason.optional(),
    connector: connectorId.nullable().optional().meta({ description: 'null: those that no connector had.' }),
    reply: reply.nullable().optional(),
    recipient: recipient.optional(),
    since: instant.optional(),
    until: instant.optional(),
  })
  .meta({ id: 'DeadLetterFilter' });

const letter = z
  .object({
    id: z.string(),
    reason: letterReason,
    connector: z.string().nullable(),
    from: z.string().nullable(),
    recipients: z.array(z.object({ address: z.string(), code: z.string().nullable(), reply: z.string().nullable() })),
    at: time,
    reply: z.string().nullable(),
    attempts: z.int(),
    acceptedAt: time,
  })
  .meta({ id: 'DeadLetter' });

const group = z
  .object({
    reason: z.string().nullable(),
    connector: z.string().nullable(),
    reply: z.string().nullable(),
    count: z.int(),
    recipients: z.int(),
    firstAt: time,
    lastAt: time,
    lastId: z.string(),
    wouldRouteTo: z.string().nullable().meta({ description: 'The connector that would send the newest one now.' }),
  })
  .meta({ id: 'DeadLetterGroup' });

const preview = z
  .object({
    count: z.int().meta({ description: 'Letters that would be replayed or dropped.' }),
    selected: z.int().meta({ description: 'Letters that fit the filter, those that are excluded among them.' }),
    recipients: z.int(),
    byConnector: z.array(z.object({ connector: z.string().nullable(), count: z.int() })),
    excluded: z.array(z.object({ reason: z.string(), count: z.int() })),
    possibleDuplicates: z.int(),
    viaCandidates: z.array(z.string()),
    samples: z.array(
      z.object({
        id: z.string(),
        at: time,
        reason: z.string(),
        connector: z.string().nullable(),
        from: z.string().nullable(),
        recipients: z.int(),
        reply: z.string().nullable(),
      }),
    ),
    selection: z.string().meta({ description: 'For `/replay` or `/drop`.' }),
    expiresAt: time,
  })
  .meta({ id: 'DeadLetterPreview' });

const ratePerSecond = z.number().min(minRatePerSecond).max(maxRatePerSecond);
const via = connectorId.meta({ description: 'Connector to send through instead of that of each From.' });

/** Exactly one of these says which letters are meant. */
const choice = {
  selection: z.string().max(100).optional().meta({ description: 'Of a preview.' }),
  ids: z.array(messageId).min(1).max(maxIdsAsked).optional(),
  all: z.literal(true).optional().meta({ description: 'All of them; `count` says how many these are.' }),
  count: z.int().min(0).optional(),
};

/** Where nothing else is asked for: so fast a replay does no harm to a server that has refused. */
const usualRatePerSecond = 20;

const place = z.strictObject({ at: z.number(), id: z.string().max(200) });
const begun = { 202: { description: 'It has begun. `Location` is the operation.', body: operation } };

export const deadLetterRoutes = [
  route({
    method: 'GET',
    path: '/v1/dead-letters',
    name: 'listDeadLetters',
    summary: 'Lists dead letters, newest first, or groups of them',
    description:
      'With `group` the answer has `groups`, the largest first, in place of `items`: by `reason`, `connector` and `reply`, as many as are named.',
    scope: 'dead:read',
    query: z.strictObject({
      reason: letterReason.optional(),
      connector: z.union([z.literal('none'), connectorId]).optional(),
      reply: reply.optional(),
      recipient: recipient.optional(),
      since: instant.optional(),
      until: instant.optional(),
      group: z
        .string()
        .regex(/^(?:reason|connector|reply)(?:,(?:reason|connector|reply)){0,2}$/)
        .optional()
        .meta({ description: 'Some of `reason,connector,reply`.' }),
      cursor: cursorOf(place).optional(),
      limit,
    }),
    answers: {
      200: {
        description: 'A page of letters, or the groups.',
        body: z.union([
          z.object({ items: z.array(letter), next }),
          z.object({
            groups: z.array(group),
            count: z.int(),
            recipients: z.int(),
            omitted: z.object({ groups: z.int(), count: z.int() }),
          }),
        ]),
      },
    },
    async handle({ query: { group: by, cursor, limit: most, connector, ...rest } }, context) {
      const { tools, token } = context;
      const operator = await tools.operator();
      const wanted: LetterFilter = compact({
        ...rest,
        connector: connector === 'none' ? null : connector,
      });
      if (by !== undefined) {
        if (token.from !== null) return limited();
        const keys = groupKeys.filter((key) => by.split(',').includes(key));
        const { groups, complete: _complete, ...sums } = await operator.deadGroups(tools.config(), wanted, keys);
        return json({ ...sums, groups: groups.map(groupJson) });
      }
      const page = await operator.deadPage(wanted, cursor ?? null, most, ({ from }) => mayUse(token, from ?? null));
      return json({ items: page.items.map(letterJson), next: encodeCursor(page.next) });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/dead-letters/preview',
    name: 'previewDeadLetters',
    summary: 'Counts what a replay or a drop would do',
    description: 'Nothing is changed. The selection is what is there now, and holds for 15 minutes.',
    scope: 'dead:read',
    body: z.strictObject({
      filter: filter.default({}),
      action: z.enum(['replay', 'drop']).default('replay'),
      via: via.optional(),
    }),
    answers: { 200: { description: 'What would be done.', body: preview } },
    problems: ['conflict'],
    async handle({ body }, { tools, token }) {
      if (token.from !== null) return limited();
      const operator = await tools.operator();
      const asked = { kind: body.action, filter: compact(body.filter), via: body.via ?? null };
      if (asked.via !== null && !isSender(asked.via, tools.config())) return noSender(asked.via);
      const { expiresAt, ...counted } = await operator.preview(tools.config(), asked);
      return json({ ...previewJson(counted), expiresAt: timeOf(expiresAt) });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/dead-letters/replay',
    name: 'replayDeadLetters',
    summary: 'Sends dead letters again',
    description: `By a selection, by ids, or all of them. It is an operation: paced (${usualRatePerSecond} a second unless \`ratePerSecond\` says otherwise), stoppable, and the same whichever process works on it.`,
    scope: 'dead:write',
    body: z.strictObject({
      ...choice,
      via: via.optional(),
      ratePerSecond: ratePerSecond.optional(),
      reason: reason.optional(),
    }),
    answers: begun,
    problems: ['not-found', 'conflict'],
    handle: ({ body }, context) => begin('replay', { reason: undefined, ...body }, context),
  }),
  route({
    method: 'POST',
    path: '/v1/dead-letters/drop',
    name: 'dropDeadLetters',
    summary: 'Deletes dead letters with their content',
    scope: 'dead:write',
    body: z.strictObject({ ...choice, ratePerSecond: ratePerSecond.optional(), reason }),
    answers: begun,
    problems: ['not-found', 'conflict'],
    handle: ({ body }, context) => begin('drop', { via: undefined, ...body }, context),
  }),
];

interface Asked {
  readonly selection?: string | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly all?: true | undefined;
  readonly count?: number | undefined;
  readonly via?: string | undefined;
  readonly ratePerSecond?: number | undefined;
  readonly reason?: string | undefined;
}

async function begin(kind: 'replay' | 'drop', asked: Asked, context: Context): Promise<Reply> {
  const { tools, token } = context;
  if (token.from !== null) return limited();
  const choices = [
    asked.selection === undefined ? null : ({ by: 'selection', selection: asked.selection } as const),
    asked.ids === undefined ? null : ({ by: 'ids', ids: asked.ids } as const),
    asked.all === undefined ? null : ({ by: 'all', count: asked.count ?? -1 } as const),
  ].flatMap((each): BulkChoice[] => (each === null ? [] : [each]));
  const [only, ...others] = choices;
  if (only === undefined || others.length > 0) return oneOf('', 'needs exactly one of `selection`, `ids` and `all`');
  if (only.by === 'all' && asked.count === undefined) return oneOf('count', 'is required with `all`');
  const actions = (await tools.operator()).as(actorOf(context), tools.config());
  const answer = await actions.begin({
    kind,
    choice: only,
    via: asked.via ?? null,
    ratePerSecond: asked.ratePerSecond ?? usualRatePerSecond,
    reason: asked.reason ?? null,
  });
  if (answer.ok) {
    const { operation: made } = answer;
    return json(operationJson(made), 202, { Location: `/v1/operations/${made.id}` });
  }
  if (answer.why === 'selection') return problem('not-found', bulkRefusal(answer));
  const more = answer.why === 'count' ? { count: answer.count } : {};
  return problem('conflict', bulkRefusal(answer), { more: { why: answer.why, ...more } });
}

function oneOf(field: string, message: string): Reply {
  const issues = [{ field, rule: field === '' ? 'choice' : 'required', message }];
  return problem('invalid-request', `${field === '' ? 'the body' : field} ${message}`, { issues });
}

/** Counts over all letters would tell it of mail that it may not see. */
function limited(): Reply {
  return problem('forbidden', 'a token that is limited to From addresses may list dead letters, and nothing else');
}

function isSender(id: string, config: ReturnType<Context['tools']['config']>): boolean {
  return config.connectors.some((each) => each.id === id && each.direction !== 'incoming');
}

function noSender(id: string): Reply {
  return problem('conflict', `the connector ${id} is not configured, or never sends`, { more: { why: 'via' } });
}

function letterJson({ at, acceptedAt, from, ...rest }: DeadLetterSummary) {
  return { ...rest, from: from ?? null, at: timeOf(at), acceptedAt: timeOf(acceptedAt) };
}

/** Without the keys whose value is undefined. */
function compact<T extends object>(value: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as {
    [Name in keyof T]: Exclude<T[Name], undefined>;
  };
}
