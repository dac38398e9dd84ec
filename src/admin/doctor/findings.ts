/** What the doctor can find: the closed list of kinds with their meaning and repair, and the types of a finding. */
import type { Queue } from 'bullmq';
import type { JobReader } from '../../queue/bullmq/job-reader.ts';
import type { RedisClient } from '../../queue/redis/connection.ts';
import type { MessageLimits } from '../../message/message.ts';
import type { ContentStore } from '../../queue/ledger/content.ts';
import type { DeadLetters } from '../../queue/ledger/dead-letters.ts';
import type { Lanes } from '../../queue/lanes/lanes.ts';
import type { Ledger } from '../../queue/ledger/ledger.ts';
import type { Sealing } from '../../sealing/sealing.ts';
import type { ShardKeys } from '../../queue/redis/keys.ts';
import type { ShardView } from '../../queue/open.ts';
import type { Shards } from '../../queue/redis/shards.ts';

/** The closed list of what can disagree: what it means, and what `--fix` does about it; null: nothing that is safe. */
export const findingKinds = {
  'message-nowhere': {
    means: 'The ledger says that the message is on its way, but it is in no queue: Redis has lost it.',
    fix: 'settles it as dead (`stalled`), so that its status says so',
  },
  'replay-unfinished': {
    means: 'The replay of a dead letter was interrupted; the message is in no queue.',
    fix: 'puts it back into the queue, and drops the dead letter',
  },
  'row-not-indexed': {
    means: 'An unsettled message is missing from the index by which deadlines are kept.',
    fix: 'adds it to the index',
  },
  'row-over-indexed': {
    means: 'A message that is settled or deleted is still in the index of unsettled messages.',
    fix: 'removes it from the index',
  },
  'job-settled': {
    means: 'A job waits in a lane, but its message is settled; it would end without being sent.',
    fix: 'removes the job',
  },
  'job-without-row': {
    means: 'A message waits in a lane, but the ledger does not know it, so it has no deadline.',
    fix: 'writes its ledger row',
  },
  'format-newer': {
    means: 'A newer release of Postlane wrote this job; it waits for a worker of that release.',
    fix: null,
  },
  'job-failed': {
    means: 'A job has stalled too often, and no worker has made a dead letter of it yet.',
    fix: 'lets a worker try it once more',
  },
  'letter-settled': {
    means: 'There is a dead letter of a message that was sent or cancelled.',
    fix: 'drops the dead letter',
  },
  'letter-requeued': {
    means: 'A replayed message is in a queue, and its old dead letter is still there.',
    fix: 'drops the dead letter; the message is in the queue',
  },
  'letter-not-indexed': {
    means: 'A dead letter is missing from the index, so no list shows it.',
    fix: 'adds it to the index',
  },
  'letter-index-empty': {
    means: 'The index names a dead letter that does not exist.',
    fix: 'removes the entry from the index',
  },
  'lane-not-ready': {
    means: 'A lane has messages to send but is missing from the ready set, so no worker serves it.',
    fix: 'adds the lane to the ready set',
  },
  'lane-unconfigured': {
    means:
      'Messages wait in the lane of a connector that is not configured to send. A worker routes them again after a minute.',
    fix: null,
  },
  'key-missing': {
    means:
      'Messages or contents are sealed with a key that this configuration does not have. They wait for it; if it is gone for good, they are lost.',
    fix: null,
  },
  'content-unneeded': {
    means: 'A stored content is needed by no message.',
    fix: 'removes it',
  },
  'content-missing': {
    means: 'A message refers to a stored content that is gone. It will become a dead letter.',
    fix: null,
  },
} as const;

export type FindingKind = keyof typeof findingKinds;

export interface Finding {
  readonly kind: FindingKind;
  /** The message, connector or content that it is about. */
  readonly id: string;
  readonly detail: string;
  /** It was repaired. Always false without `fix`. */
  readonly fixed: boolean;
}

/** Something that may be wrong. `holds` looks again; `fix` repairs it, and says whether it could. */
export interface Suspicion {
  readonly kind: FindingKind;
  readonly id: string;
  readonly detail: string;
  readonly holds: () => Promise<boolean>;
  readonly fix: (() => Promise<boolean>) | null;
}

/** What is sealed, by kind. `kept`: after it was sent (`retention.content`). */
export type SealedKind = 'waiting' | 'deadLetters' | 'kept' | 'contents' | 'idempotencyKeys';
export type SealedCounts = Record<SealedKind, number>;

export function noneSealed(): SealedCounts {
  return { waiting: 0, deadLetters: 0, kept: 0, contents: 0, idempotencyKeys: 0 };
}

/** What is sealed with one key, or with none. */
export interface KeyCount extends SealedCounts {
  /** Its name; null: not sealed. */
  readonly key: string | null;
  /** The key is here: not another one of its name. */
  readonly isHere: boolean;
  /** Of the dead letters: those of held messages. */
  held: number;
}

/** A shard, as far as the doctor examines it by itself. */
type ExaminedShard = Pick<ShardView, 'keys' | 'lanes' | 'ledger' | 'deadLetters'>;

/** What the doctor looks at. */
export interface Body {
  readonly redis: RedisClient;
  readonly keys: ShardKeys;
  readonly shards: Pick<Shards, 'home' | 'all' | 'keysOf'>;
  readonly views: readonly ExaminedShard[];
  readonly intake: Queue;
  readonly jobs: JobReader;
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  readonly contents: ContentStore;
  readonly limits: MessageLimits;
  readonly sealing: () => Sealing;
}

export interface DiagnoseOptions {
  readonly fix: boolean;
  /** ms since the epoch. */
  readonly now: () => number;
  /** Ids of the connectors that are configured to send. */
  readonly senders: readonly string[];
  /** Lifetime of a message whose ledger row has to be written anew, in ms. */
  readonly lifetimeMs: number;
  /** How long the row of a message that was lost is kept, in ms. */
  readonly retentionMs: number;
  /** Between the two looks, in ms. Default 1,000: what takes a worker longer than that is worth a line. */
  readonly lookAgainMs?: number;
  /** Called with what is sealed with which key, where anything is, or is to be. */
  readonly onKeys?: (counts: readonly KeyCount[]) => void;
  /** Called with the number of things examined so far. */
  readonly onProgress?: (looked: number) => void;
}

export interface Examination extends DiagnoseOptions {
  /** To be called with the number of things that were looked at. */
  readonly looked: (count: number) => void;
}

/** `3 waiting, 1 dead letter, 2 contents`. */
export function countText({ held = 0, ...counts }: Readonly<SealedCounts> & { readonly held?: number }): string {
  const { waiting, deadLetters, kept, contents, idempotencyKeys } = counts;
  const many = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;
  const parts = [
    ...(waiting === 0 ? [] : [`${waiting} waiting`]),
    ...(deadLetters === 0 ? [] : [`${many(deadLetters, 'dead letter')}${held === 0 ? '' : ` (${held} held)`}`]),
    ...(kept === 0 ? [] : [`${kept} kept after it was sent`]),
    ...(contents === 0 ? [] : [many(contents, 'content')]),
    ...(idempotencyKeys === 0 ? [] : [many(idempotencyKeys, 'idempotency key')]),
  ];
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
