/**
 * Encrypts everything that is stored with the active key, so that no other key is needed: waiting messages, dead letters, kept messages,
 * contents, and the hashes of idempotency keys.
 *
 * Producers and workers may run meanwhile, and it may be stopped at any time. Each body is replaced in one step, and only if it has not
 * changed since it was read and no worker holds its job. Bodies that were skipped are tried again in the next pass; a pass that finds none
 * is the last.
 */
import { randomUUID } from 'node:crypto';
import { eachBounded } from '../async/bounded.ts';
import { sleep } from '../async/timeout.ts';
import type { MessageLimits } from '../message/message.ts';
import { isIntruder, maxDataBytesOf } from '../queue/jobs.ts';
import { intakeName, laneName } from '../queue/redis/keys.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HashPlace } from '../queue/callers.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { StoredBody } from '../queue/stored-bodies.ts';
import { members, scan } from './doctor/scan.ts';
import { noneSealed, type SealedCounts, type SealedKind } from './doctor/findings.ts';
import { createTally, type KeyTally, type Tally, type Why } from './rekey-tally.ts';
import { judgeBody, type Place } from './rekey-bodies.ts';

export interface RekeyOptions {
  /** Only what this key has sealed. Default: all that the active key has not. */
  readonly from: string | null;
  readonly dryRun: boolean;
  /** From one replacement to the next, in ms. */
  readonly betweenMs: number;
  readonly onProgress?: (sealed: number) => void;
  /** Ends it after the step under way. Default: it goes on until it is done. */
  readonly signal?: AbortSignal;
  /** How long it waits for what is in the way, in ms. Default 30,000. */
  readonly patienceMs?: number;
}

export interface RekeyReport {
  readonly active: string;
  readonly sealed: Readonly<SealedCounts>;
  /** What another key has sealed still, or none. Empty: none of the other keys is needed any more. */
  readonly left: readonly KeyTally[];
}

export interface RekeyTools {
  readonly redis: RedisClient;
  readonly open: OpenQueues;
  readonly limits: MessageLimits;
}

/** At once, where there is no pace. */
const mostAtOnce = 8;
/** Between two looks at what is in the way, in ms. */
const lookAgainMs = 500;
/** Passes that have found work. More of them means that a producer goes on sealing with another key. */
const mostPasses = 20;

const passing: ReadonlySet<Why> = new Set<Why>(['busy', 'changed']);

/** null: nothing is sealed, as there is no key. */
export async function rekey(tools: RekeyTools, options: RekeyOptions): Promise<RekeyReport | null> {
  const { dryRun, patienceMs = 30_000, signal = new AbortController().signal } = options;
  const active = tools.open.sealing().keyring.sealing;
  if (active === null) return null;
  const sealed = noneSealed();
  const pace = createPace(options.betweenMs, signal);
  const token = randomUUID();
  let patientUntil = performance.now() + patienceMs;
  for (let passes = 1; ; passes += 1) {
    const tally = createTally();
    let replaced = 0;
    const note = (kind: SealedKind): void => {
      sealed[kind] += 1;
      replaced += 1;
      options.onProgress?.(Object.values(sealed).reduce((sum, each) => sum + each, 0));
    };
    await onePass(tools, options, { print: active.print, token, pace, note, tally, signal });
    const left = tally.list();
    const report = { active: active.name, sealed, left };
    const isWaiting = left.some(({ why }) => passing.has(why));
    if (dryRun || signal.aborted || (replaced === 0 && !isWaiting)) return report;
    if (replaced > 0) patientUntil = performance.now() + patienceMs;
    if (passes >= mostPasses && replaced > 0) {
      // Another producer goes on with another key: what it has sealed since is counted, so that nothing left is not said too early.
      const rest = createTally();
      await onePass(
        tools,
        { ...options, dryRun: true },
        { print: active.print, token, pace, note, tally: rest, signal },
      );
      return { ...report, left: rest.list() };
    }
    if (passes >= mostPasses || performance.now() >= patientUntil) return report;
    if (replaced === 0) await sleep(lookAgainMs, signal);
  }
}

interface Pass {
  readonly print: string;
  readonly token: string;
  readonly pace: () => Promise<void>;
  /** One was sealed anew. */
  readonly note: (kind: SealedKind) => void;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/**
 * In the order in which messages move, so that one on its way is seen: a key that is there for the whole of a SCAN is found. What moves
 * the other way, a replay, may be missed, and is found in the next pass.
 */
async function onePass(tools: RekeyTools, options: RekeyOptions, pass: Pass): Promise<void> {
  const { shards } = tools.open;
  for (const keys of shards.all) {
    const queues: [Place, string][] = [
      ...(keys.prefix === shards.home.prefix ? [['intake', keys.queue(intakeName, '')] as [Place, string]] : []),
      ['lane', `${keys.prefix}:${laneName('')}`],
    ];
    for (const [place, start] of queues) await rekeyAll(place, start, tools, options, pass);
  }
  for (const keys of shards.all) await rekeyAll('kept', keys.kept(''), tools, options, pass);
  for (const keys of shards.all) await rekeyAll('letter', keys.deadLetter(''), tools, options, pass);
  await rekeyHashes('idempotency key', shards.home.idempotency(''), tools, options, pass);
  await rekeyHashes('print', shards.home.print(''), tools, options, pass);
  await rekeyContents(tools, options, pass);
}

const kinds: Readonly<Record<Place, SealedKind>> = {
  intake: 'waiting',
  lane: 'waiting',
  letter: 'deadLetters',
  kept: 'kept',
};

async function rekeyAll(
  place: Place,
  start: string,
  { redis, open, limits }: RekeyTools,
  { from, dryRun, betweenMs }: RekeyOptions,
  { print, pace, note, tally, signal }: Pass,
): Promise<void> {
  const kind = kinds[place];
  const mostBytes = 2 * maxDataBytesOf(limits, true);
  const one = async (body: StoredBody): Promise<void> => {
    if (signal.aborted) return;
    const judged = judgeBody(place, idIn(place, body.place.slice(start.length)), body, open, limits);
    if (judged.kind === 'same' || (from !== null && judged.key !== from)) return;
    if (judged.kind === 'left') return tally.add(kind, judged.key, judged.why, judged.id);
    if (dryRun) return tally.add(kind, judged.key, 'to-do', judged.id);
    await pace();
    const answer = await open.replaceBody(body, judged.data, judged.form);
    if (answer === 'ok') note(kind);
    else tally.add(kind, judged.key, answer, judged.id);
  };
  for await (const suffixes of scan({ redis }, start)) {
    if (signal.aborted) return;
    const places = suffixes.filter((each) => isBody(place, each)).map((each) => `${start}${each}`);
    const found: StoredBody[] = [];
    const flush = async (): Promise<void> => {
      await eachBounded(found.splice(0), betweenMs > 0 ? 1 : mostAtOnce, one);
    };
    for await (const body of open.findBodies(places, print, mostBytes)) {
      if (found.push(body) >= mostAtOnce) await flush();
    }
    await flush();
  }
}

/** Beside jobs there are keys of their queue, and of each job. */
function isBody(place: Place, suffix: string): boolean {
  const [connector, ...rest] = place === 'lane' ? suffix.split(':') : ['', suffix];
  const id = rest.join(':');
  return (
    connector !== undefined &&
    id !== '' &&
    !id.includes(':') &&
    (place === 'kept' || place === 'letter' || !isIntruder(id))
  );
}

/** Of a job or of a message. */
function idIn(place: Place, suffix: string): string {
  return place === 'lane' ? suffix.slice(suffix.indexOf(':') + 1) : suffix;
}

async function rekeyHashes(
  place: HashPlace,
  start: string,
  { redis, open }: RekeyTools,
  { from, dryRun }: RekeyOptions,
  { pace, note, tally, signal }: Pass,
): Promise<void> {
  for await (const names of scan({ redis }, start)) {
    for (const hash of await open.findHashes(place, names)) {
      const { resealed } = hash;
      if (signal.aborted) return;
      if (from !== null && resealed.key !== from) continue;
      if (resealed.kind !== 'sealed') tally.add('idempotencyKeys', resealed.key, resealed.kind);
      else if (dryRun) tally.add('idempotencyKeys', resealed.key, 'to-do');
      else {
        await pace();
        if (await open.replaceHash(hash, resealed.value)) note('idempotencyKeys');
        else tally.add('idempotencyKeys', resealed.key, 'changed');
      }
    }
  }
}

async function rekeyContents(
  { redis, open }: RekeyTools,
  { from, dryRun }: RekeyOptions,
  { print, token, pace, note, tally, signal }: Pass,
): Promise<void> {
  for await (const refs of members({ redis }, open.shards.home.contents)) {
    for (const ref of refs) {
      if (signal.aborted) return;
      const key = await open.contentKey(ref);
      if (key?.print === print || (from !== null && key?.name !== from)) continue;
      if (key === null || dryRun) {
        tally.add('contents', key?.name ?? null, key === null ? 'plain-content' : 'to-do');
        continue;
      }
      await pace();
      const answer = await open.rekeyContent(ref, token);
      if (answer.kind === 'sealed') note('contents');
      else if (answer.kind !== 'same') tally.add('contents', key?.name ?? null, answer.kind);
    }
  }
}

/** From start to start, so that the work does not slow the pace; lost time is not made up for. */
function createPace(betweenMs: number, signal: AbortSignal): () => Promise<void> {
  let next = performance.now();
  return async () => {
    if (betweenMs === 0) return;
    const waitMs = next - performance.now();
    next = Math.max(next, performance.now()) + betweenMs;
    if (waitMs > 0) await sleep(waitMs, signal);
  };
}
