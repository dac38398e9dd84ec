/** What the doctor looks for in dead letters: their message must be dead, in part or held, and the index must name just them. */
import { decodeIntake } from '../../queue/jobs.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import type { DeadLetter } from '../../queue/ledger/dead-letters.ts';
import { write } from '../../queue/lua/script.ts';
import type { Body, Examination, Suspicion } from './findings.ts';
import { members, queued, scan, unsettled } from './scan.ts';

/** Dead letters: their message must be dead, in part or held, and the index must name just them. */
export async function* suspectLetters(body: Body, { looked }: Examination): AsyncGenerator<Suspicion[]> {
  const { redis, keys, ledger, deadLetters } = body;
  const indexed = async (id: string): Promise<boolean> => (await redis.zscore(keys.dead, id)) !== null;
  const there = async (id: string): Promise<boolean> => (await redis.exists(keys.deadLetter(id))) === 1;

  const letter = async (id: string): Promise<Suspicion[]> => {
    const found = await deadLetters.summary(id);
    if (found === null) return [];
    const suspicions: Suspicion[] = [];
    if (!(await indexed(id))) {
      suspicions.push({
        kind: 'letter-not-indexed',
        id,
        detail: `it died of ${found.reason}`,
        holds: async () => (await there(id)) && !(await indexed(id)),
        fix: async () => (await write(redis, 'ZADD', keys.dead, 'NX', found.at, id)) === 1,
      });
    }
    const kind = async (): Promise<'letter-settled' | 'letter-requeued' | null> => {
      const row = await ledger.read(id);
      if (row?.state === 'sent' || row?.state === 'cancelled') return 'letter-settled';
      const live = row !== null && unsettled(row.state) && row.state !== 'held';
      return live && (await queued(body, id, row.connector)) ? 'letter-requeued' : null;
    };
    const first = await kind();
    if (first !== null) {
      suspicions.push({
        kind: first,
        id,
        detail: `the dead letter says ${found.reason}`,
        holds: async () => (await kind()) === first && (await deadLetters.summary(id))?.at === found.at,
        fix: async () => {
          const whole = first === 'letter-settled' ? await deadLetters.get(id) : null;
          const dropped = await deadLetters.drop(id, found);
          if (dropped && whole !== null) await releaseContents(body, whole);
          return dropped;
        },
      });
    }
    return suspicions;
  };

  for await (const ids of scan(body, keys.deadLetter(''))) {
    looked(ids.length);
    yield (await Promise.all(ids.map(letter))).flat();
  }
  for await (const ids of members(body, keys.dead)) {
    looked(ids.length);
    const exist = await Promise.all(ids.map(there));
    yield ids
      .filter((_id, i) => exist[i] === false)
      .map((id) => ({
        kind: 'letter-index-empty',
        id,
        detail: 'the index of dead letters names it',
        holds: async () => (await indexed(id)) && !(await there(id)),
        fix: async () => (await redis.zrem(keys.dead, id)) === 1,
      }));
  }
}

/** Its message needs them no more. */
async function releaseContents({ contents, limits, sealing }: Body, letter: DeadLetter): Promise<void> {
  if (letter.form !== 'json') return;
  const decoded = decodeIntake(letter.id, letter.acceptedAt, letter.data, limits, sealing(), letter.wasSealed);
  if (decoded.ok) await contents.release(letter.id, refsOf(decoded.job.message));
}
