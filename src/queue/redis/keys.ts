/** Names and keys in Redis: what producers of any language may rely on, and what is Postlane's own. */

/** Part of the wire contract: the only queue that producers know, and the name of every job in it. */
export const intakeName = 'outbound';
export const jobName = 'message';
/** The hash tag keeps all keys of one shard in one Redis Cluster slot, which Lua scripts need. */
export const defaultPrefix = '{postlane}';

const lanePrefix = 'lane-';

export function laneName(connectorId: string): string {
  return `${lanePrefix}${connectorId}`;
}

/** Keys beside the BullMQ queues. None can be taken for a queue's: queues are called `outbound` and `lane-…` only. */
export interface Keys {
  readonly prefix: string;
  /** ZSET connector id → time from which its lane may have something to do. */
  readonly ready: string;
  /** SET of every connector id that ever had a lane. */
  readonly lanes: string;
  /** ZSET message id → deadline, of every routed message that is not settled. */
  readonly unsettled: string;
  /** ZSET message id → time of death. */
  readonly dead: string;
  /** ZSET hash → time of storing, of all stored contents. */
  readonly contents: string;
  /** Pub/sub channel: a lane became ready. */
  readonly wake: string;
  /** STRING number of shards that workers were last started with. */
  readonly shardCount: string;
  /** STRING that is written to see whether replicas follow. */
  readonly acknowledged: string;
  /** ZSET worker → until when it counts as alive, of workers with sessions at servers. */
  readonly sessions: string;
  /** Pub/sub channel: a session has ended, or should. */
  readonly sessionsChannel: string;
  /** When the lane's next message might be taken, where it is paced; µs of Redis' clock. */
  pace(connectorId: string): string;
  /** HASH worker → sessions with a connector's server that it may have open. */
  sessionsOf(connectorId: string): string;
  ledger(id: string): string;
  /** STRING the shard that a message's row is in, if there are several. */
  place(id: string): string;
  deadLetter(id: string): string;
  content(sha256: string): string;
  contentRefs(sha256: string): string;
  /** HASH of a connector's recent faults, shared by all workers. */
  connector(connectorId: string): string;
  /** HASH of what a connector has done, over all workers; `sent` counts messages. */
  connectorStats(connectorId: string): string;
  /** STRING why a lane waits, with the same end as its limiter's. */
  connectorWait(connectorId: string): string;
  /** HASH end of a bucket of time → how much of a kind a connector has used in it. */
  quota(connectorId: string, kind: string): string;
  /** A key of a BullMQ queue, by BullMQ's own layout. */
  queue(queueName: string, type: string): string;
}

export function keysOf(prefix: string): Keys {
  return {
    prefix,
    ready: `${prefix}:ready`,
    lanes: `${prefix}:lanes`,
    unsettled: `${prefix}:unsettled`,
    dead: `${prefix}:dead`,
    contents: `${prefix}:contents`,
    wake: `${prefix}:wake`,
    pace: (connectorId) => `${prefix}:connector:${connectorId}:pace`,
    shardCount: `${prefix}:shards`,
    acknowledged: `${prefix}:acknowledged`,
    sessions: `${prefix}:sessions`,
    sessionsChannel: `${prefix}:sessions:free`,
    sessionsOf: (connectorId) => `${prefix}:sessions:${connectorId}`,
    ledger: (id) => `${prefix}:ledger:${id}`,
    place: (id) => `${prefix}:place:${id}`,
    deadLetter: (id) => `${prefix}:dead:${id}`,
    content: (sha256) => `${prefix}:content:${sha256}`,
    contentRefs: (sha256) => `${prefix}:content:${sha256}:refs`,
    connector: (connectorId) => `${prefix}:connector:${connectorId}`,
    connectorStats: (connectorId) => `${prefix}:connector:${connectorId}:stats`,
    connectorWait: (connectorId) => `${prefix}:connector:${connectorId}:wait`,
    quota: (connectorId, kind) => `${prefix}:quota:${connectorId}:${kind}`,
    queue: (queueName, type) => `${prefix}:${queueName}:${type}`,
  };
}
