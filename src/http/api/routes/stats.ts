/** `GET /v1/stats`: the state of the whole installation. */
import { z } from 'zod';
import type { Stats } from '../../../admin/stats.ts';
import { connectorStates } from '../../../admin/trouble.ts';
import { deliveryWords, type DeliverySettings } from '../../../config/delivery-words.ts';
import { instant } from '../operator-schemas.ts';
import { json, route, type ConfigState } from '../route.ts';
import { time, timeOf } from '../schemas.ts';

const slot = z.object({ at: time }).catchall(z.int()).meta({
  id: 'StatsSlot',
  description: 'Five minutes from `at` on: counts of what happened to messages, and of faults.',
});

const stats = z
  .object({
    at: time,
    waiting: z.int(),
    active: z.int(),
    delayed: z.int(),
    due: z.int().meta({ description: 'Could be sent now if a worker were free.' }),
    setAside: z.int(),
    unsettled: z.int(),
    deadLetters: z.int(),
    held: z.int().nullable(),
    operations: z.int().meta({ description: 'That are not over.' }),
    oldest: z.object({ connector: z.string(), at: time }).nullable(),
    firstDeadline: z.object({ connector: z.string().nullable(), id: z.string(), at: time }).nullable(),
    workers: z.array(
      z.object({
        id: z.string(),
        slots: z.int().nullable(),
        busy: z.int().nullable(),
        startedAt: time.nullable(),
      }),
    ),
    slots: z.int(),
    slotsBusy: z.int(),
    connectors: z.partialRecord(z.enum(connectorStates), z.int()),
    series: z.array(slot),
    sent: z.int(),
    sentWithinFiveMinutes: z.number().nullable().meta({ description: 'Share of `sent`, from 0 to 1.' }),
    redis: z
      .object({
        usedBytes: z.number(),
        maxBytes: z.number().meta({ description: '0 is no limit.' }),
        aofOk: z.boolean(),
        replicas: z.int(),
        growthPerHour: z.number().nullable(),
        fullAt: time.nullable().meta({ description: 'When it is full at this rate.' }),
      })
      .nullable()
      .meta({ description: 'Of the fullest master; null if this user of Redis may not ask.' }),
    configuration: z.object({
      state: z.enum(['applied', 'rejected']).meta({ description: '`rejected`: a later file has mistakes.' }),
      appliedAt: time,
      rejectedAt: time.nullable(),
      mistakes: z.int(),
    }),
    redirectTo: z.string().nullable().meta({
      description: 'Where the mail goes of recipients who may not get it (`delivery.redirectTo`), or all mail.',
    }),
    delivery: z.string().nullable().meta({ description: 'How mail is restricted, in words; null if it is not.' }),
  })
  .meta({ id: 'Stats' });

const dayMs = 86_400_000;
const mostMs = 8 * dayMs;

export const statsRoutes = [
  route({
    method: 'GET',
    path: '/v1/stats',
    name: 'getStats',
    summary: 'Shows the state of the whole installation',
    scope: 'connectors:read',
    query: z.strictObject({
      since: instant.optional().meta({ description: 'Start of the series, at most 8 days ago. Default: a day ago.' }),
    }),
    answers: { 200: { description: 'The state now, and a series of five minutes.', body: stats } },
    async handle({ query: { since } }, { tools }) {
      const now = tools.now();
      const from = Math.max(now - mostMs, since ?? now - dayMs);
      const read = await (await tools.operator()).stats(tools.config(), from);
      return json(statsJson(read, tools.configState(), tools.config().delivery, now));
    },
  }),
];

function statsJson(
  { sentSoon, workers, series, oldest, firstDeadline, redis, ...rest }: Stats,
  config: ConfigState,
  delivery: DeliverySettings,
  now: number,
) {
  return {
    ...rest,
    at: timeOf(now),
    oldest: oldest === null ? null : { ...oldest, at: timeOf(oldest.at) },
    firstDeadline: firstDeadline === null ? null : { ...firstDeadline, at: timeOf(firstDeadline.at) },
    workers: workers.map(({ worker, load }) => ({
      id: worker,
      slots: load?.slots ?? null,
      busy: load?.busy ?? null,
      startedAt: load === null ? null : timeOf(load.startedAt),
    })),
    series: series.map(({ at, counts }) => ({ at: timeOf(at), ...counts })),
    sentWithinFiveMinutes: sentSoon,
    redis: redis === null ? null : { ...redis, fullAt: redis.fullAt === null ? null : timeOf(redis.fullAt) },
    configuration: {
      state: config.rejectedAt === null ? ('applied' as const) : ('rejected' as const),
      appliedAt: timeOf(config.appliedAt),
      rejectedAt: config.rejectedAt === null ? null : timeOf(config.rejectedAt),
      mistakes: config.mistakes,
    },
    redirectTo: delivery.redirectTo,
    delivery: deliveryWords(delivery),
  };
}
