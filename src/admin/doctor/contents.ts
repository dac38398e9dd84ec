/** What the doctor looks for in stored contents: each is needed by a message, and each that a message needs is there. */
import type { Message } from '../../message/message.ts';
import { contentGraceMs, refsOf } from '../../queue/ledger/content.ts';
import { decodeIntake, decodeLane } from '../../queue/jobs.ts';
import type { Body, Examination, Suspicion } from './findings.ts';
import { jobsOf, members, scan, unsettled } from './scan.ts';

export async function* suspectContents(body: Body, examination: Examination): AsyncGenerator<Suspicion[]> {
  yield* suspectUnneeded(body, examination);
  yield* suspectMissing(body);
}

async function* suspectUnneeded(body: Body, { now, looked }: Examination): AsyncGenerator<Suspicion[]> {
  const { redis, shards, contents, ledger } = body;
  const keys = shards.home;
  const needed = async (id: string): Promise<boolean> => {
    if ((await redis.exists(keys.intakeJob(id))) > 0) return true;
    const kept = await Promise.all(shards.all.map((each) => redis.exists(each.deadLetter(id), each.kept(id))));
    if (kept.some((count) => count > 0)) return true;
    return unsettled((await ledger.read(id))?.state ?? null);
  };
  const needless = async (ref: string): Promise<boolean> => {
    const storedAt = await redis.zscore(keys.contents, ref);
    if (storedAt === null || Number(storedAt) > now() - contentGraceMs) return false;
    const ids = await redis.smembers(keys.contentRefs(ref));
    return !(await Promise.all(ids.map(needed))).includes(true);
  };
  for await (const refs of members(body, keys.contents)) {
    looked(refs.length);
    const found = await Promise.all(refs.map(needless));
    yield refs
      .filter((_ref, i) => found[i])
      .map((ref) => ({
        kind: 'content-unneeded',
        id: ref,
        detail: 'every message that needed it is settled or gone',
        holds: () => needless(ref),
        fix: async () => {
          for (const id of ['', ...(await redis.smembers(keys.contentRefs(ref)))]) await contents.release(id, [ref]);
          return true;
        },
      }));
  }
}

async function* suspectMissing(body: Body): AsyncGenerator<Suspicion[]> {
  const { redis, shards } = body;
  const keys = shards.home;
  for await (const page of referring(body)) {
    const suspicions = page.map(async ({ id, key, message }): Promise<Suspicion[]> => {
      const missing = async (): Promise<string | undefined> => {
        for (const ref of refsOf(message)) if ((await redis.exists(keys.content(ref))) === 0) return ref;
        return undefined;
      };
      const ref = await missing();
      if (ref === undefined) return [];
      const detail = `the content ${ref.slice(0, 12)}… is gone`;
      const holds = async (): Promise<boolean> => (await missing()) !== undefined && (await redis.exists(key)) === 1;
      return [{ kind: 'content-missing', id, detail, holds, fix: null }];
    });
    yield (await Promise.all(suspicions)).flat();
  }
}

interface Referring {
  readonly id: string;
  /** Where the message was found. */
  readonly key: string;
  readonly message: Message;
}

/** All messages that may refer to contents: in the intake, in lanes, and dead. */
async function* referring(body: Body): AsyncGenerator<Referring[]> {
  const { intake, lanes, limits } = body;
  const sealing = body.sealing();
  const keys = body.shards.home;
  for (const type of ['wait', 'prioritized', 'delayed', 'active', 'failed'] as const) {
    for await (const jobs of jobsOf(body, intake, type)) {
      yield jobs.flatMap(({ id, timestamp, data }) => {
        const decoded = decodeIntake(String(id), timestamp, data, limits, sealing);
        return decoded.ok ? [{ ...decoded.job, key: keys.intakeJob(decoded.job.id) }] : [];
      });
    }
    for (const connector of await lanes.known()) {
      for await (const jobs of jobsOf(body, lanes.queue(connector), type)) {
        yield jobs.flatMap(({ id, data }) => {
          const decoded = decodeLane(String(id), data, limits, sealing);
          return decoded.ok
            ? [{ ...decoded.job, key: body.shards.keysOf(connector).laneJob(connector, decoded.job.id) }]
            : [];
        });
      }
    }
  }
  for (const part of body.views) {
    for await (const ids of scan(body, part.keys.deadLetter(''))) {
      const letters = await Promise.all(ids.map((id) => part.deadLetters.get(id)));
      yield letters.flatMap((letter) => {
        if (letter?.form !== 'json') return [];
        const decoded = decodeIntake(letter.id, letter.acceptedAt, letter.data, limits, sealing, letter.wasSealed);
        return decoded.ok ? [{ ...decoded.job, key: part.keys.deadLetter(letter.id) }] : [];
      });
    }
  }
}
