/** Operations over many dead letters: their progress, their rate, and their end. */
import { z } from 'zod';
import { maxRatePerSecond, minRatePerSecond } from '../../../admin/bulk.ts';
import { letterResults, operationStates, type OperationState } from '../../../admin/operations.ts';
import { operationJson } from '../../../admin/show.ts';
import { actorOf, cursorOf, encodeCursor, limit, next, reason } from '../operator-schemas.ts';
import { json, problem, route, type Context, type Reply } from '../route.ts';
import { time } from '../schemas.ts';

export const operation = z
  .object({
    id: z.string(),
    kind: z.enum(['replay', 'drop']),
    state: z.enum(operationStates),
    by: z.string(),
    through: z.string(),
    what: z.string().meta({ description: 'Which letters, in words.' }),
    via: z.string().nullable(),
    ratePerSecond: z.number().nullable().meta({ description: 'null: as fast as it goes.' }),
    reason: z.string().nullable(),
    until: time.meta({ description: 'Letters that died later are not touched.' }),
    total: z.int(),
    done: z.int(),
    results: z.partialRecord(z.enum(letterResults), z.int()),
    startedAt: time,
    updatedAt: time,
    endedAt: time.nullable(),
    stoppedBy: z.string().nullable(),
    stopReason: z.string().nullable(),
  })
  .meta({ id: 'Operation' });

const params = z.object({ id: z.string().max(60) });
const place = z.strictObject({ at: z.number(), id: z.string().max(60) });

export const operationRoutes = [
  route({
    method: 'GET',
    path: '/v1/operations',
    name: 'listOperations',
    summary: 'Lists operations, newest first',
    scope: 'dead:write',
    query: z.strictObject({ cursor: cursorOf(place).optional(), limit }),
    answers: { 200: { description: 'A page of operations.', body: z.object({ items: z.array(operation), next }) } },
    async handle({ query: { cursor, limit: most } }, { tools }) {
      const { operations } = await tools.operator();
      const found = await operations.list(cursor ?? null, most);
      const last = found.length < most ? undefined : found.at(-1);
      const after = last === undefined ? null : { at: last.startedAt, id: last.id };
      return json({ items: found.map(operationJson), next: encodeCursor(after) });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/operations/{id}',
    name: 'getOperation',
    summary: 'Shows how far an operation is',
    scope: 'dead:write',
    params,
    answers: { 200: { description: 'The operation.', body: operation } },
    problems: ['not-found'],
    handle: ({ params: { id } }, context) => show(id, context),
  }),
  route({
    method: 'PATCH',
    path: '/v1/operations/{id}',
    name: 'changeOperation',
    summary: 'Changes how fast an operation works',
    scope: 'dead:write',
    params,
    body: z.strictObject({
      ratePerSecond: z
        .number()
        .min(minRatePerSecond)
        .max(maxRatePerSecond)
        .nullable()
        .meta({ description: 'null: as fast as it goes.' }),
    }),
    answers: { 200: { description: 'The operation.', body: operation } },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id }, body }, context) =>
      change(id, context, (actions) => actions.setRate(id, body.ratePerSecond)),
  }),
  route({
    method: 'DELETE',
    path: '/v1/operations/{id}',
    name: 'stopOperation',
    summary: 'Stops an operation',
    description: 'What it has done stays done; the rest stays dead letters. The operation stays in the list.',
    scope: 'dead:write',
    params,
    query: z.strictObject({ reason: reason.optional() }),
    answers: { 200: { description: 'It is stopped.', body: operation } },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id }, query }, context) =>
      change(id, context, (actions) => actions.stopOperation(id, query.reason ?? null)),
  }),
];

type Actions = ReturnType<Awaited<ReturnType<Context['tools']['operator']>>['as']>;

async function change(
  id: string,
  context: Context,
  act: (actions: Actions) => Promise<OperationState | null>,
): Promise<Reply> {
  const { tools } = context;
  const state = await act((await tools.operator()).as(actorOf(context), tools.config()));
  if (state === null) return unknown(id);
  return state === 'running'
    ? show(id, context)
    : problem('conflict', `the operation is ${state}`, { more: { state } });
}

async function show(id: string, { tools }: Context): Promise<Reply> {
  const found = await (await tools.operator()).operations.get(id);
  return found === null ? unknown(id) : json(operationJson(found));
}

function unknown(id: string): Reply {
  return problem('not-found', `no operation has the id ${id}`);
}
