/** What the doctor says of keys: how many messages and contents are sealed with each, and what is lost with one that is not here. */
import { isSealedRef, headerBytes, readHeader } from '../../sealing/contents.ts';
import type { KeyName } from '../../sealing/keyring.ts';
import { readSealed, type Sealed } from '../../sealing/seal.ts';
import { sealedIn } from '../../queue/jobs.ts';
import { sealedHashIn, splitClaim } from '../../queue/callers.ts';
import {
  countText,
  noneSealed,
  type Body,
  type Examination,
  type KeyCount,
  type SealedKind,
  type Suspicion,
} from './findings.ts';
import { jobsOf, members, scan } from './scan.ts';

/** Messages whose key is not here. Tells how many there are of each key, where any is configured. */
export async function* suspectKeys(body: Body, { onKeys }: Examination): AsyncGenerator<Suspicion[]> {
  const counts = await countKeys(body);
  const { keyring } = body.sealing();
  if (keyring.names.length > 0 || counts.some(({ key }) => key !== null)) onKeys?.(counts);
  yield counts
    .filter(({ key, isHere }) => key !== null && !isHere)
    .map((count) => ({
      kind: 'key-missing',
      id: count.key!,
      detail: countText(count),
      holds: async () => (await countKeys(body)).some(({ key, isHere }) => key === count.key && !isHere),
      fix: null,
    }));
}

async function countKeys(body: Body): Promise<KeyCount[]> {
  const { keyring } = body.sealing();
  const counts = new Map<string, KeyCount>();
  const note = (kind: SealedKind, name: KeyName | null, isHeld = false): void => {
    const isHere = name === null || keyring.derive(name, Buffer.alloc(16), 'body') !== null;
    const place = `${name?.name ?? ''} ${isHere}`;
    const found = counts.get(place) ?? { key: name?.name ?? null, isHere, held: 0, ...noneSealed() };
    found[kind] += 1;
    if (isHeld) found.held += 1;
    counts.set(place, found);
  };
  for await (const data of waitingData(body)) note('waiting', nameOf(sealedIn(data)));
  for (const { keys } of body.views) {
    for await (const ids of scan(body, keys.deadLetter(''))) {
      const letters = await Promise.all(
        ids.map(async (id) => {
          const [form, data] = await body.redis.hmget(keys.deadLetter(id), 'form', 'data');
          const sealed = sealedLetterIn(form ?? 'json', data ?? '');
          return { sealed, state: await body.redis.hget(keys.ledger(id), 'state') };
        }),
      );
      for (const { sealed, state } of letters) note('deadLetters', nameOf(sealed), state === 'held');
    }
    for await (const ids of scan(body, keys.kept(''))) {
      const kept = await Promise.all(ids.map((id) => body.redis.hget(keys.kept(id), 'data').catch(() => null)));
      for (const data of kept) note('kept', nameOf(sealedIn(parsed(data ?? ''))));
    }
  }
  for await (const refs of members(body, body.shards.home.contents)) {
    const names = await Promise.all(refs.map((ref) => contentName(body, ref)));
    for (const name of names) note('contents', name);
  }
  const { home } = body.shards;
  for (const keyOf of [home.idempotency, home.print]) {
    for await (const names of scan(body, keyOf(''))) {
      const values = names.length === 0 ? [] : await body.redis.mget(names.map(keyOf));
      for (const value of values) {
        const sealed = sealedHashIn(splitClaim(value ?? '')[0]);
        // What is not sealed may be another program's note.
        if (sealed !== null) note('idempotencyKeys', nameOf(sealed));
      }
    }
  }
  return [...counts.values()].toSorted((a, b) => ((a.key ?? '') < (b.key ?? '') ? -1 : 1));
}

async function* waitingData(body: Body): AsyncGenerator {
  const lists = ['wait', 'prioritized', 'delayed', 'active', 'failed'] as const;
  const queues = [body.intake, ...(await body.lanes.known()).map((id) => body.lanes.queue(id))];
  for (const queue of queues) {
    for (const list of lists)
      for await (const jobs of jobsOf(body, queue, list)) for (const { data } of jobs) yield data;
  }
}

/** The sealed text of a dead letter: as a whole, or its message. */
export function sealedLetterIn(form: string, data: string): Sealed | null {
  return form.startsWith('sealed-') ? readSealed(parsed(data)) : sealedIn(parsed(data));
}

async function contentName({ redis, shards }: Body, ref: string): Promise<KeyName | null> {
  if (!isSealedRef(ref)) return null;
  return readHeader(await redis.getrangeBuffer(shards.home.content(ref), 0, headerBytes - 1));
}

function nameOf(sealed: Sealed | null): KeyName | null {
  return sealed === null ? null : { name: sealed.k, print: sealed.f };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
