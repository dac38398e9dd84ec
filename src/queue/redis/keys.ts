/** Names and keys in Redis: what producers of any language may rely on, and what is Postlane's own. */
import { jobIdOf } from './job-ids.ts';

/** Part of the wire contract: the only queue that producers know, and the name of every job in it. */
export const intakeName = 'outbound';
export const jobName = 'message';
/** The lane of what is on its way to another shard, in the shard that it comes from: no connector may have this id. */
export const transit = '.transit';
/** The hash tag keeps all keys of one shard in one Redis Cluster slot, which Lua scripts need. */
export const defaultPrefix = '{postlane}';

const lanePrefix = 'lane-';
const hookPrefix = 'hook-';

export function laneName(connectorId: string): string {
  return `${lanePrefix}${connectorId}`;
}

/** The queue of what is to be delivered to a webhook. */
export function hookName(webhook: string): string {
  return `${hookPrefix}${webhook}`;
}

/**
 * Keys of one shard beside the BullMQ queues. None can be taken for a queue's: queues are called `outbound`, `lane-…` and `hook-…` only.
 * Everything that belongs to a connector is in the connector's shard.
 */
export interface ShardKeys {
  readonly prefix: string;
  /** ZSET connector id → time from which its lane may have something to do. */
  readonly ready: string;
  /** SET of every connector id that ever had a lane. */
  readonly lanes: string;
  /** ZSET message id → deadline, of every routed message that is not settled. */
  readonly unsettled: string;
  /** ZSET message id → time of death. */
  readonly dead: string;
  /** LIST of the ids that were routed last, the newest first; maintenance cuts it. */
  readonly recent: string;
  /** ZSET message id → when its last delivery report of a failure was read; the last 10,000. */
  readonly bounced: string;
  /** STREAM of what happened, while it is read. */
  readonly events: string;
  /** STRING which events are read: `results`, or `all`. */
  readonly eventsWanted: string;
  /** HASH who reads events → how far, and until when it counts. */
  readonly eventConsumers: string;
  /** HASH what was dropped unread: `dropped` in all, and the end of each gap → how many. */
  readonly eventGaps: string;
  /** HASH counters of five minutes that begin at this time, over all connectors. */
  readonly stats: (slotAt: number) => string;
  /** The same, by connector. */
  readonly connectorSlot: (slotAt: number) => string;
  /** ZSET entries of the search index. */
  readonly find: (set: string) => string;
  /** HASH day and buckets of the index → until when it is needed, and whether entries were left out. */
  readonly findDays: string;
  /** HASH field of the index → since when it is written, or `off`. */
  readonly findFields: string;
  /** HASH the job of a message that was sent, as long as its content is kept. */
  readonly kept: (id: string) => string;
  /** ZSET message id → until when its content is kept. */
  readonly keptIds: string;
  /** In the first shard: HASH address → why it gets no mail. In another: STRING that there is such a list. */
  readonly suppressions: string;
  /** Pub/sub channel: a lane became ready. */
  readonly wake: string;
  /** ZSET worker → until when it counts as alive, of workers with sessions at servers. */
  readonly sessions: string;
  /** Pub/sub channel: a session has ended, or should. */
  readonly sessionsChannel: string;
  /** STRING when the lane's next message might be taken, where it has a rate; µs of Redis' clock. */
  readonly plan: (connectorId: string) => string;
  /** HASH worker → sessions with a connector's server that it may have open. */
  readonly sessionsOf: (connectorId: string) => string;
  /** ZSET `host:port` → until when it is left out, of the hosts of an SMTP connector. */
  readonly hostsAway: (connectorId: string) => string;
  readonly ledger: (id: string) => string;
  readonly deadLetter: (id: string) => string;
  /** STRING that some worker has this key of encryption, by its name and print; it ends by itself. */
  readonly keyHere: (print: string) => string;
  /** HASH of a connector's recent faults, shared by all workers. */
  readonly connector: (connectorId: string) => string;
  /** HASH of refusals within a transaction whose cause is not known yet; only while there are any. */
  readonly attribution: (connectorId: string) => string;
  /** HASH of how often a connector's messages are refused by themselves, and of the rate that its server bears. */
  readonly refusals: (connectorId: string) => string;
  /** HASH of what a connector has done, over all workers; `sent` counts messages. */
  readonly connectorStats: (connectorId: string) => string;
  /** STRING why a lane waits, with the same end as its limiter's. */
  readonly connectorWait: (connectorId: string) => string;
  /** HASH who has paused a lane, why, since when and until when; it ends with a pause that has an end. */
  readonly connectorPause: (connectorId: string) => string;
  /** HASH since when a connector's mail goes by a fallback, by which, and how far it has recovered. */
  readonly fallback: (connectorId: string) => string;
  /** ZSET connector and job of each message that this connector has in its lane as a fallback, by when it came. */
  readonly guests: (connectorId: string) => string;
  /** ZSET connectors with a pause that has an end, by that end. */
  readonly pauseEnds: string;
  /** HASH end of a bucket of time → how much of a kind a connector has used in it. */
  readonly quota: (connectorId: string, kind: string) => string;
  /** STRING what a worker's last turns took, in case they reach Redis twice; it ends by itself. */
  readonly turn: (worker: string, slot: number) => string;
  /** A message's job in a connector's lane. */
  readonly laneJob: (connectorId: string, id: string) => string;
  /** A key of a BullMQ queue, by BullMQ's own layout. */
  readonly queue: (queueName: string, type: string) => string;
}

/** Keys of the first shard alone: what belongs to no connector. */
export interface HomeKeys extends ShardKeys {
  /** ZSET hash → time of storing, of all stored contents. */
  readonly contents: string;
  /** HASH the form of what is stored: `version`, `reads` (ledger/stored-form.ts). */
  readonly format: string;
  /** ZSET suppressed addresses, by themselves. */
  readonly suppressionNames: string;
  /** ZSET suppressed address → when that ends, of those that have an end. */
  readonly suppressionEnds: string;
  /** HASH worker → what it says of itself, as JSON. */
  readonly workerLoads: string;
  /** HASH five minutes → memory that Redis used then; the last day. */
  readonly memory: string;
  /** STREAM who did what, the last 100,000 entries. */
  readonly audit: string;
  /** ZSET operation → when it was begun, of all that are kept. */
  readonly operations: string;
  /** SET of the operations that are not over. */
  readonly openOperations: string;
  /** HASH of an operation over many dead letters. */
  readonly operation: (id: string) => string;
  /** LIST of the ids that it still has to do. */
  readonly operationIds: (id: string) => string;
  /** STRING which process works on it; it ends by itself. */
  readonly operationLease: (id: string) => string;
  /** HASH how far a mailbox was read for delivery reports, and when it is due: `<connector>`, or `<connector>/<address>` by Graph. */
  readonly mailbox: (mailbox: string) => string;
  /** STRING which process reads it now; it ends by itself. */
  readonly mailboxLease: (mailbox: string) => string;
  /** STRING who resolves, replays or drops a message right now; it ends by itself. */
  readonly resolving: (id: string) => string;
  /** SET of the webhooks of which something is kept. */
  readonly webhooks: string;
  /** HASH how it stands with a webhook: counts, failures, whether it is switched off. */
  readonly webhook: (id: string) => string;
  /** ZSET event id → its time, of what is to be delivered. */
  readonly webhookOpen: (id: string) => string;
  /** ZSET message, sequence and event id by name, of what a later event of the same message waits for. */
  readonly webhookOrder: (id: string) => string;
  /** STRING which process reads events for it; it ends by itself. */
  readonly webhookLease: (id: string) => string;
  /** STRING what a preview has selected; it ends by itself. */
  readonly selection: (id: string) => string;
  /** STRING with which sessions of the dashboard are signed; deleting it ends them all. */
  readonly sessionKey: string;
  /** STRING the key with which return paths of single mails are signed. */
  readonly returnPathKey: string;
  /** STRING number of shards that workers were last started with. */
  readonly shardCount: string;
  /** ZSET worker → until when it counts as there. */
  readonly workers: string;
  /** STRING that is written to see whether replicas follow. */
  readonly acknowledged: string;
  /** STRING which process had the last round of maintenance; it ends when the next is due. */
  readonly maintenance: string;
  /** STRING which process looks after fallbacks; it ends by itself. */
  readonly failover: string;
  /** STRING that asks maintenance to look for jobs of the intake that are on no list; it ends by itself. */
  readonly intakeRepair: string;
  /** STRING until when the requests of a token, or the messages of a user, are planned, ms of Redis' clock; it ends by itself. */
  readonly tokenRate: (token: string) => string;
  /** STRING content hash and id of the message that was first under a caller's key, by the key's hash; it ends by itself. */
  readonly idempotency: (hash: string) => string;
  /** STRING what was submitted under an id and the time of its job, written together with its message; it ends by itself. */
  readonly print: (id: string) => string;
  /** STRING failed logins of a user, by the hash of its name; it ends by itself. */
  readonly loginUser: (hash: string) => string;
  /** STRING failed logins from an address, by its hash; it ends by itself. */
  readonly loginAddress: (hash: string) => string;
  /** STRING that a user has logged in from an address lately; it ends by itself. */
  readonly loginKnown: (hash: string) => string;
  /** HASH `user outcome` → how many submissions. */
  readonly submissionCounts: string;
  /** HASH user → the last submission, `user refused` → the last refusal; JSON. */
  readonly submissionLast: string;
  /** A message's job in the intake. */
  readonly intakeJob: (id: string) => string;
  /** STRING the shard that a message's row is in, if there are several. */
  readonly location: (id: string) => string;
  readonly content: (sha256: string) => string;
  readonly contentRefs: (sha256: string) => string;
  /** STRING a content that is being sealed anew; it ends by itself. */
  readonly contentStaged: (ref: string, token: string) => string;
}

/** Keys of connectors are few, and asked for several times a message. One that was made before also costs a comparison less. */
function remembered(make: (connectorId: string) => string): (connectorId: string) => string {
  const known = new Map<string, string>();
  return (connectorId) => {
    let key = known.get(connectorId);
    if (key === undefined) known.set(connectorId, (key = make(connectorId)));
    return key;
  };
}

export function keysOf(prefix: string): HomeKeys {
  return {
    prefix,
    ready: `${prefix}:ready`,
    lanes: `${prefix}:lanes`,
    unsettled: `${prefix}:unsettled`,
    dead: `${prefix}:dead`,
    recent: `${prefix}:recent`,
    bounced: `${prefix}:bounced`,
    events: `${prefix}:events`,
    eventsWanted: `${prefix}:events:wanted`,
    eventConsumers: `${prefix}:events:consumers`,
    eventGaps: `${prefix}:events:gaps`,
    stats: (slotAt) => `${prefix}:stats:${slotAt}`,
    connectorSlot: (slotAt) => `${prefix}:stats:${slotAt}:connectors`,
    find: (set) => `${prefix}:find:${set}`,
    findDays: `${prefix}:find:days`,
    findFields: `${prefix}:find:fields`,
    kept: (id) => `${prefix}:kept:${id}`,
    keptIds: `${prefix}:kept`,
    suppressions: `${prefix}:suppressions`,
    suppressionNames: `${prefix}:suppressions:names`,
    suppressionEnds: `${prefix}:suppressions:ends`,
    wake: `${prefix}:wake`,
    sessions: `${prefix}:sessions`,
    sessionsChannel: `${prefix}:sessions:free`,
    plan: (connectorId) => `${prefix}:connector:${connectorId}:pace`,
    sessionsOf: (connectorId) => `${prefix}:sessions:${connectorId}`,
    hostsAway: (connectorId) => `${prefix}:hosts-away:${connectorId}`,
    ledger: (id) => `${prefix}:ledger:${id}`,
    deadLetter: (id) => `${prefix}:dead:${id}`,
    connector: remembered((connectorId) => `${prefix}:connector:${connectorId}`),
    attribution: remembered((connectorId) => `${prefix}:connector:${connectorId}:attribution`),
    refusals: (connectorId) => `${prefix}:connector:${connectorId}:refusals`,
    connectorStats: remembered((connectorId) => `${prefix}:connector:${connectorId}:stats`),
    connectorWait: remembered((connectorId) => `${prefix}:connector:${connectorId}:wait`),
    connectorPause: (connectorId) => `${prefix}:connector:${connectorId}:pause`,
    fallback: (connectorId) => `${prefix}:connector:${connectorId}:fallback`,
    guests: (connectorId) => `${prefix}:connector:${connectorId}:guests`,
    pauseEnds: `${prefix}:pauses`,
    turn: (worker, slot) => `${prefix}:turn:${worker}:${slot}`,
    keyHere: (print) => `${prefix}:key:${print}`,
    quota: (connectorId, kind) => `${prefix}:quota:${connectorId}:${kind}`,
    queue: (queueName, type) => `${prefix}:${queueName}:${type}`,
    laneJob: (connectorId, id) => `${prefix}:${laneName(connectorId)}:${jobIdOf(id)}`,
    intakeJob: (id) => `${prefix}:${intakeName}:${jobIdOf(id)}`,
    contents: `${prefix}:contents`,
    format: `${prefix}:format`,
    workerLoads: `${prefix}:workers:loads`,
    memory: `${prefix}:memory`,
    audit: `${prefix}:audit`,
    operations: `${prefix}:operations`,
    openOperations: `${prefix}:operations:open`,
    operation: (id) => `${prefix}:operation:${id}`,
    operationIds: (id) => `${prefix}:operation:${id}:ids`,
    operationLease: (id) => `${prefix}:operation:${id}:lease`,
    mailbox: (mailbox) => `${prefix}:mailbox:${mailbox}`,
    mailboxLease: (mailbox) => `${prefix}:mailbox:${mailbox}:lease`,
    webhooks: `${prefix}:webhooks`,
    webhook: (id) => `${prefix}:webhook:${id}`,
    webhookOpen: (id) => `${prefix}:webhook:${id}:open`,
    webhookOrder: (id) => `${prefix}:webhook:${id}:order`,
    webhookLease: (id) => `${prefix}:webhook:${id}:lease`,
    resolving: (id) => `${prefix}:resolving:${id}`,
    selection: (id) => `${prefix}:selection:${id}`,
    sessionKey: `${prefix}:session-key`,
    returnPathKey: `${prefix}:return-path-key`,
    shardCount: `${prefix}:shards`,
    workers: `${prefix}:workers`,
    acknowledged: `${prefix}:acknowledged`,
    maintenance: `${prefix}:sweep`,
    failover: `${prefix}:failover`,
    intakeRepair: `${prefix}:repair`,
    tokenRate: (token) => `${prefix}:token:${token}:rate`,
    idempotency: (hash) => `${prefix}:idempotency:${hash}`,
    print: (id) => `${prefix}:print:${id}`,
    loginUser: (hash) => `${prefix}:login:user:${hash}`,
    loginAddress: (hash) => `${prefix}:login:address:${hash}`,
    loginKnown: (hash) => `${prefix}:login:known:${hash}`,
    submissionCounts: `${prefix}:submission:counts`,
    submissionLast: `${prefix}:submission:last`,
    location: (id) => `${prefix}:place:${id}`,
    content: (sha256) => `${prefix}:content:${sha256}`,
    contentRefs: (sha256) => `${prefix}:content:${sha256}:refs`,
    contentStaged: (ref, token) => `${prefix}:content:${ref}:staged:${token}`,
  };
}
