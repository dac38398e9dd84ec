/** How the doctor looks: through keys, sets and lists in pages, and for a message in all the places where it may be. */
import { intakeJobIdsOf } from '../../queue/jobs.ts';
import type { Job, Queue } from 'bullmq';
import type { JobList, JobPage } from '../../queue/bullmq/job-reader.ts';
import { mastersOf } from '../../queue/redis/connection.ts';
import { terminalStates, type LedgerState } from '../../queue/ledger/ledger.ts';
import { intakeName, transit } from '../../queue/redis/keys.ts';
import type { Body } from './findings.ts';

const page = 200;

export function unsettled(state: LedgerState | null): boolean {
  return state !== null && !terminalStates.has(state);
}

/** In the order in which messages move, so that one on its way is seen. */
export async function queued(body: Body, id: string, connector: string | null): Promise<boolean> {
  const { redis, views } = body;
  const keys = body.shards.home;
  const inIntake = intakeJobIdsOf(id).map((jobId) => keys.queue(intakeName, jobId));
  if ((await redis.exists(...inIntake)) > 0) return true;
  const others = connector === null ? (await Promise.all(views.map(({ lanes }) => lanes.known()))).flat() : [connector];
  const inLane = others.map((each) => redis.exists(body.shards.keysOf(each).laneJob(each, id)));
  if ((await Promise.all(inLane)).includes(1)) return true;
  // It has left its lane for another shard, and may be there by now: then its row has changed.
  const onItsWay = body.shards.all.map((each) => redis.exists(each.laneJob(transit, id)));
  return (await Promise.all(onItsWay)).includes(1);
}

/** The ids of all keys that begin so. */
export async function* scan({ redis }: Pick<Body, 'redis'>, start: string): AsyncGenerator<string[]> {
  const match = `${start.replaceAll(/[*?[\]\\]/g, '\\$&')}*`;
  for (const master of mastersOf(redis)) {
    for await (const keys of master.scanStream({ match, count: page })) {
      yield [...new Set((keys as string[]).map((key) => key.slice(start.length)))];
    }
  }
}

export async function* members({ redis }: Pick<Body, 'redis'>, key: string): AsyncGenerator<string[]> {
  for await (const flat of redis.zscanStream(key, { count: page })) {
    yield [...new Set((flat as string[]).filter((_member, i) => i % 2 === 0))];
  }
}

/** Jobs of a list that is being worked on: some may be missed and none is reported wrongly, as all are looked at twice. */
export async function* jobsOf({ jobs }: Body, queue: Queue, list: JobList): AsyncGenerator<readonly Job[]> {
  for (let from: number | null = 0; from !== null;) {
    const page: JobPage = await jobs.page(queue, list, from);
    yield page.jobs;
    from = page.next;
  }
}

/** Whether it worked; a job that a worker takes in this moment cannot be moved, and needs nothing. */
export async function done(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
