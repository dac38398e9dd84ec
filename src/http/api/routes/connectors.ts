/** Connectors: what each waits for and until when, sorted by trouble; pause, resume, and a log-in that sends nothing. */
import { z } from 'zod';
import { connectorSorts } from '../../../admin/connectors.ts';
import { connectorJson, pauseJson } from '../../../admin/show.ts';
import { connectorStates } from '../../../admin/trouble.ts';
import { waitReasons } from '../../../queue/lanes/wait-reasons.ts';
import { sends } from '../../../routing/connector.ts';
import { actorOf, cursorOf, encodeCursor, limit, next, pauseLength, reason } from '../operator-schemas.ts';
import { json, problem, route, type Context, type Reply } from '../route.ts';
import { connectorId, directHosts, proxy, sending, time } from '../schemas.ts';

const pause = z
  .object({
    by: z.string().nullable().meta({ description: 'A token, or `user@host`; null: another program has paused it.' }),
    reason: z.string().nullable(),
    at: time.nullable(),
    until: time.nullable().meta({ description: 'null: until it is resumed.' }),
  })
  .meta({ id: 'Pause' });

const state = z.enum(connectorStates);
const transport = z.enum(['smtp', 'graph']);
const direction = z.enum(['incoming', 'outgoing', 'both']);

const connector = z
  .object({
    id: z.string(),
    direction: direction.nullable().meta({ description: 'null: it is not configured any more, and has messages.' }),
    transport: transport.nullable(),
    ...sending,
    addresses: z.array(z.string()),
    isDefault: z.boolean().meta({ description: 'The system default gateway.' }),
    state,
    waiting: z.int(),
    active: z.int(),
    delayed: z.int(),
    sent: z.int().meta({ description: 'Since its lane was created.' }),
    paused: z.boolean(),
    pause: pause.nullable(),
    limits: z.looseObject({ concurrency: z.int() }).nullable(),
    waitingFor: z.enum(waitReasons),
    waitingUntil: time.nullable(),
    untilMs: z.number().nullable(),
    concurrency: z.int().nullable().meta({ description: 'Messages that may be sent at once now.' }),
    learnedMessagesPerMinute: z.number().nullable(),
    used: z.object({
      recipientsPerDay: z.number().nullable(),
      bytesPerWindow: z.number().nullable(),
      group: z
        .object({
          id: z.string(),
          messagesPerMinute: z.number().nullable(),
          recipientsPerDay: z.number().nullable(),
          bytesPerWindow: z.number().nullable(),
        })
        .nullable()
        .meta({ description: 'By all connectors of `limits.group`.' }),
    }),
    breaker: z.looseObject({ state: z.enum(['closed', 'open']) }),
    faults: z.array(
      z.object({
        fault: z.string(),
        reply: z.string(),
        count: z.int(),
        since: time.nullable(),
        until: time.nullable(),
      }),
    ),
    fallback: z
      .object({
        to: z.array(z.string()),
        afterMs: z.number(),
        atOnce: z.array(z.string()),
        since: time.nullable().meta({ description: 'null: its mail goes by itself.' }),
        messages: z.int().meta({ description: 'Messages that have entered another lane since then.' }),
      })
      .nullable()
      .meta({ description: 'Who stands in for it while it is at fault.' }),
    suspect: z.object({ reply: z.string(), setAside: z.int(), since: time }).nullable(),
    oldestWaitingAt: time.nullable(),
    oldestWaitingMs: z.number().nullable(),
    nextDeadlineAt: time.nullable(),
    credentialExpiresAt: time.nullable(),
  })
  .meta({ id: 'Connector' });

const senders = z
  .object({
    tested: z.array(
      z.object({
        address: z.string(),
        result: z.enum(['ok', 'unproven', 'refused', 'unknown']),
        right: z.enum(['Mail.Send', 'Send As', 'login', 'relay']).nullable().meta({ description: 'What is missing.' }),
        code: z.string().nullable(),
        enhancedCode: z.string().nullable(),
        reply: z.string().nullable(),
        advice: z.string(),
      }),
    ),
    untested: z.int().meta({ description: 'Addresses beyond the first hundred.' }),
    patterns: z.array(z.string()).meta({ description: 'Of these no address is known to be tested.' }),
  })
  .meta({ id: 'Senders' });

const hostTry = z
  .object({
    host: z.string().meta({ description: '`host:port`.' }),
    proxy: z.string().nullable(),
    ok: z.boolean(),
    fault: z.string().nullable(),
    code: z.string().nullable(),
    detail: z.string(),
    durationMs: z.int(),
    senders: senders.nullable(),
  })
  .meta({ id: 'HostTry' });

const params = z.object({ id: connectorId });
const place = z.strictObject({ key: z.number(), second: z.number(), id: z.string().max(100) });
const counts = z.partialRecord(state, z.int());

export const connectorRoutes = [
  route({
    method: 'GET',
    path: '/v1/connectors',
    name: 'listConnectors',
    summary: 'Lists connectors, the ones in trouble first',
    scope: 'connectors:read',
    query: z.strictObject({
      state: state.optional(),
      direction: direction.optional(),
      transport: transport.optional(),
      text: z.string().min(1).max(200).optional().meta({ description: 'Part of an id, an address or a server.' }),
      sort: z.enum(connectorSorts).default('trouble'),
      cursor: cursorOf(place).optional(),
      limit,
    }),
    answers: {
      200: {
        description: '`count` fit the filter; `states` counts all connectors.',
        body: z.object({ items: z.array(connector), next, count: z.int(), states: counts }),
      },
    },
    async handle({ query: { cursor, text, state: wanted, direction: way, transport: by, ...rest } }, { tools }) {
      const operator = await tools.operator();
      const page = await operator.connectors(tools.config(), {
        ...rest,
        after: cursor ?? null,
        ...(text === undefined ? {} : { text }),
        ...(wanted === undefined ? {} : { state: wanted }),
        ...(way === undefined ? {} : { direction: way }),
        ...(by === undefined ? {} : { transport: by }),
      });
      return json({ ...page, items: page.items.map(connectorJson), next: encodeCursor(page.next) });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/connectors/{id}',
    name: 'getConnector',
    summary: 'Shows one connector',
    scope: 'connectors:read',
    params,
    answers: { 200: { description: 'The connector.', body: connector } },
    problems: ['not-found'],
    handle: ({ params: { id } }, context) => show(id, context),
  }),
  route({
    method: 'POST',
    path: '/v1/connectors/{id}/pause',
    name: 'pauseConnector',
    summary: 'Stops sending for a connector',
    description:
      'Attempts under way finish; its messages are accepted and wait. With `for` it resumes at that time by itself. A pause replaces the one that stands; `before` is that one.',
    scope: 'connectors:write',
    params,
    body: z.strictObject({
      reason,
      for: pauseLength.optional().meta({ description: 'Such as `30m`, `2h`, `7d`. Default: until it is resumed.' }),
    }),
    answers: {
      200: {
        description: 'It is paused.',
        body: z.object({ id: z.string(), paused: z.literal(true), pause, before: pause.nullable() }),
      },
    },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id }, body }, context) =>
      ofSender(id, context, async () => {
        const { tools } = context;
        const actions = (await tools.operator()).as(actorOf(context), tools.config());
        const { before, now } = await actions.pause(id, { reason: body.reason, forMs: body.for ?? null });
        return json({ id, paused: true, pause: pauseJson(now), before: before === null ? null : pauseJson(before) });
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/connectors/{id}/resume',
    name: 'resumeConnector',
    summary: 'Sends for a connector again',
    description: 'It also forgets faults, so that a connector with a fault is tried at once.',
    scope: 'connectors:write',
    params,
    body: z.strictObject({ reason: reason.optional() }).optional(),
    answers: {
      200: {
        description: 'It is not paused.',
        body: z.object({ id: z.string(), paused: z.literal(false), before: pause.nullable() }),
      },
    },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id }, body }, context) =>
      ofSender(id, context, async () => {
        const { tools } = context;
        const actions = (await tools.operator()).as(actorOf(context), tools.config());
        const before = await actions.resume(id, body?.reason ?? null);
        return json({ id, paused: false, before: before === null ? null : pauseJson(before) });
      }),
  }),
  route({
    method: 'POST',
    path: '/v1/connectors/{id}/try',
    name: 'tryConnector',
    summary: 'Logs in to the server of a connector, asks it for each sender, and sends nothing',
    scope: 'connectors:write',
    params,
    answers: {
      200: {
        description: 'What came of it; a failure is an answer, too.',
        body: z
          .object({
            connector: z.string(),
            transport: z.string(),
            proxy,
            directHosts,
            ok: z.boolean(),
            fault: z.string().nullable(),
            code: z.string().nullable(),
            detail: z.string(),
            durationMs: z.int(),
            senders: senders
              .nullable()
              .meta({ description: 'null: the login failed. Of several hosts, what the best of them says of each.' }),
            hosts: z.array(hostTry).meta({ description: 'Each of several hosts; one that works is enough for `ok`.' }),
          })
          .meta({ id: 'ConnectorTry' }),
      },
    },
    problems: ['not-found', 'conflict'],
    handle: ({ params: { id } }, context) =>
      ofSender(id, context, async () => {
        const { tools } = context;
        const tried = await tools.tryConnector(id);
        const actions = (await tools.operator()).as(actorOf(context), tools.config());
        await actions.note(
          { action: 'try', target: id, reason: null, detail: tried.detail },
          tried.ok ? 'done' : (tried.fault ?? 'failed'),
        );
        return json(tried);
      }),
  }),
];

async function show(id: string, { tools }: Context): Promise<Reply> {
  const row = await (await tools.operator()).connector(tools.config(), id);
  return row === null ? unknown(id) : json(connectorJson(row));
}

/** Only what sends has a lane, and a server to log in to. */
async function ofSender(id: string, { tools }: Context, act: () => Promise<Reply>): Promise<Reply> {
  const found = tools.config().connectors.find((each) => each.id === id);
  if (found === undefined) return unknown(id);
  if (!sends(found.direction)) {
    return problem('conflict', `the connector ${id} only receives`, { more: { direction: found.direction } });
  }
  return act();
}

function unknown(id: string): Reply {
  return problem('not-found', `no connector has the id ${id}`);
}
