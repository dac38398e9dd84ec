/** The doctor finds each kind of disagreement, repairs what can be repaired, and reports nothing if nothing is wrong. */
import { describe, expect, test } from 'vitest';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { deadLetterFields, type DeadLetter } from '../../src/queue/ledger/dead-letters.ts';
import { diagnose } from '../../src/admin/doctor/diagnose.ts';
import { findingKinds, type Finding, type FindingKind } from '../../src/admin/doctor/findings.ts';
import { createSealing, unsealed } from '../../src/sealing/sealing.ts';
import { encodeWire, laneJobOf, sealData } from '../../src/queue/jobs.ts';
import type { LedgerState } from '../../src/queue/ledger/ledger.ts';
import { jobName, laneName } from '../../src/queue/redis/keys.ts';
import { openQueues } from '../../src/queue/open.ts';
import { project } from '../support/cli.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const hour = 3_600_000;
const ref = 'a'.repeat(64);

/** A shard with the parts that the doctor looks at, and ways to put single things into it. */
function shard() {
  const prefix = testPrefix();
  const redis = testConnection();
  const open = openQueues(redis, { prefix });
  const { keys, intake, lanes, ledger, deadLetters, contents } = open;
  const body = { redis, limits: defaultMessageLimits, ...open };
  const about = { fix: false, now: Date.now, senders: ['relay'], lifetimeMs: hour, retentionMs: hour, lookAgainMs: 5 };

  const message = (id: string, extra: object = {}) => {
    const parsed = parseMessage(
      { id, from: 'x@example.com', to: 'a@example.net', text: 'x', ...extra },
      defaultMessageLimits,
    );
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
    return parsed.message;
  };
  return {
    prefix,
    redis,
    keys,
    intake,
    lanes,
    ledger,
    deadLetters,
    contents,
    message,
    async findings(options: Partial<typeof about> = {}, parts: Partial<typeof body> = {}): Promise<Finding[]> {
      const found: Finding[] = [];
      for await (const finding of diagnose(
        {
          ...body,
          ...parts,
          views: [{ ...body, ...parts }],
        },
        {
          ...about,
          ...options,
        },
      ))
        found.push(finding);
      return found;
    },
    async row(id: string, state: LedgerState = 'queued'): Promise<void> {
      const recipients = [
        {
          address: 'a@example.net',
          outcome: 'pending',
          code: null,
          reply: null,
        },
      ] as const;
      const row = {
        id,
        connector: 'relay',
        rule: 'default',
        messageId: '<m@x>',
        recipients,
        acceptedAt: 1,
        deadline: 2 ** 42,
      };
      await ledger.create(row);
      if (state === 'queued') return;
      const entry = {
        at: Date.now(),
        event: state,
      };
      const terminal = state === 'sent' || state === 'dead' || state === 'cancelled';
      await ledger.settle(row, null, {
        state,
        recipients,
        entry,
        retryAt: null,
        reason: null,
        retentionMs: terminal ? hour : null,
        deadLetter: null,
        countAttempt: true,
        connectorWorks: false,
      });
    },
    async job(id: string, connector = 'relay', extra: object = {}): Promise<void> {
      const job = laneJobOf(id, message(id, extra), {
        messageId: `<${id}@x>`,
        acceptedAt: Date.now(),
        connector,
        rule: 'default',
        known: false,
      });
      await lanes.queue(connector).add(jobName, job, {
        jobId: id,
        removeOnComplete: true,
      });
      await lanes.refresh(connector, 'sooner', false);
    },
    async letter(id: string): Promise<void> {
      const letter: DeadLetter = {
        id,
        reason: 'rejected',
        connector: 'relay',
        recipients: [],
        at: 7,
        reply: null,
        attempts: 1,
        acceptedAt: 1,
        data: encodeWire(message(id)),
        form: 'json',
      };
      await redis.hset(keys.deadLetter(id), ...deadLetterFields(letter, unsealed));
      await redis.zadd(keys.dead, letter.at, id);
    },
  };
}

type Shard = ReturnType<typeof shard>;

interface Case {
  /** Makes the disagreement, and nothing else. */
  readonly make: (at: Shard) => Promise<unknown>;
  /** What must hold once it is repaired; null if it cannot be. */
  readonly repaired: ((at: Shard) => Promise<unknown>) | null;
}

const cases: Readonly<Record<FindingKind, Case>> = {
  'message-nowhere': {
    make: (at) => at.row('m'),
    repaired: async ({ ledger }) => expect(await ledger.read('m')).toMatchObject({ state: 'dead', reason: 'stalled' }),
  },
  'replay-unfinished': {
    async make(at) {
      await at.row('m', 'dead');
      await at.letter('m');
      const entry = { at: 1, event: 'replayed' };
      await at.ledger.release('m', { from: ['dead'], entry, deadline: 2 ** 42, via: 'relay' });
    },
    async repaired({ intake, deadLetters, ledger }) {
      expect((await intake.getJob('m'))?.data).toMatchObject({ v: 1 });
      expect(await deadLetters.get('m')).toBeNull();
      expect(await ledger.idStatus('m')).toMatchObject({ kind: 'requeued', via: 'relay' });
    },
  },
  'row-not-indexed': {
    async make(at) {
      await at.row('m');
      await at.job('m');
      await at.redis.zrem(at.keys.unsettled, 'm');
    },
    repaired: async ({ redis, keys }) => expect(await redis.zscore(keys.unsettled, 'm')).toBe(String(2 ** 42)),
  },
  'row-over-indexed': {
    async make(at) {
      await at.row('m', 'sent');
      await at.redis.zadd(at.keys.unsettled, 1, 'm', 1, 'forgotten');
    },
    repaired: async ({ redis, keys }) => expect(await redis.zcard(keys.unsettled)).toBe(0),
  },
  'job-settled': {
    async make(at) {
      await at.row('m', 'sent');
      await at.job('m');
    },
    repaired: async ({ lanes }) => expect(await lanes.queue('relay').getJob('m')).toBeUndefined(),
  },
  'job-without-row': {
    make: (at) => at.job('m'),
    repaired: async ({ ledger }) =>
      expect(await ledger.read('m')).toMatchObject({ state: 'queued', connector: 'relay', recipients: [{}] }),
  },
  'format-newer': {
    make: async ({ intake }) => intake.add(jobName, { v: 3 }, { jobId: 'm', delay: 3_600_000 }),
    repaired: null,
  },
  'key-missing': {
    async make({ intake, message }) {
      const sealing = createSealing({ active: 'gone', keys: { gone: Buffer.alloc(32, 1) } });
      await intake.add(jobName, sealData(encodeWire(message('m')), 'm', sealing), { jobId: 'm' });
    },
    repaired: null,
  },
  'job-failed': {
    async make(at) {
      await at.row('m');
      await at.job('m');
      const lane = at.keys.queue(laneName('relay'), '');
      await at.redis.lrem(`${lane}wait`, 0, 'm');
      await at.redis.zadd(`${lane}failed`, 1, 'm');
      await at.lanes.refresh('relay', 'exact', false);
    },
    repaired: async ({ lanes }) => expect(await lanes.queue('relay').getJobState('m')).toBe('waiting'),
  },
  'letter-settled': {
    async make(at) {
      await at.row('m', 'sent');
      await at.letter('m');
    },
    repaired: async ({ deadLetters }) => expect(await deadLetters.count()).toBe(0),
  },
  'letter-requeued': {
    async make(at) {
      await at.row('m');
      await at.job('m');
      await at.letter('m');
    },
    async repaired({ deadLetters, lanes }) {
      expect(await deadLetters.count()).toBe(0);
      expect(await lanes.queue('relay').getJobState('m')).toBe('waiting');
    },
  },
  'letter-not-indexed': {
    async make(at) {
      await at.row('m', 'dead');
      await at.letter('m');
      await at.redis.del(at.keys.dead);
    },
    repaired: async ({ redis, keys }) => expect(await redis.zscore(keys.dead, 'm')).toBe('7'),
  },
  'letter-index-empty': {
    make: (at) => at.redis.zadd(at.keys.dead, 1, 'gone'),
    repaired: async ({ deadLetters }) => expect(await deadLetters.count()).toBe(0),
  },
  'lane-not-ready': {
    async make(at) {
      await at.row('m');
      await at.job('m');
      await at.redis.zrem(at.keys.ready, 'relay');
    },
    repaired: async ({ redis, keys }) => expect(await redis.zscore(keys.ready, 'relay')).not.toBeNull(),
  },
  'lane-unconfigured': {
    async make(at) {
      await at.row('m');
      await at.redis.hset(at.keys.ledger('m'), 'connector', 'gone');
      await at.job('m', 'gone');
    },
    repaired: null,
  },
  'content-unneeded': {
    async make(at) {
      await at.contents.put('m', Buffer.from('x'));
      const [stored = ''] = await at.redis.zrange(at.keys.contents, 0, '0');
      await at.redis.zadd(at.keys.contents, Date.now() - 2 * hour, stored);
    },
    repaired: async ({ redis, keys }) => expect(await redis.keys(`${keys.prefix}:content*`)).toEqual([]),
  },
  'content-missing': {
    async make(at) {
      await at.row('m');
      await at.job('m', 'relay', { attachments: [{ filename: 'a', ref, size: 1 }] });
    },
    repaired: null,
  },
};

describe('each kind of disagreement', () => {
  test.each(Object.entries(cases))('%s is found, and repaired if that is safe', async (kind, { make, repaired }) => {
    const at = shard();
    await make(at);
    const kinds = (findings: Finding[]): string[] => [...new Set(findings.map((finding) => finding.kind))];
    const first = await at.findings();
    expect(kinds(first)).toEqual([kind]);
    expect(first.every(({ fixed }) => !fixed)).toBe(true);
    // Looking changes nothing.
    expect(await at.findings()).toEqual(first);

    const repairing = await at.findings({ fix: true });
    expect(repairing.map(({ fixed }) => fixed)).toEqual(first.map(() => repaired !== null));
    expect(findingKinds[kind as FindingKind].fix === null).toBe(repaired === null);
    await repaired?.(at);
    expect(await at.findings()).toEqual(repaired === null ? first : []);
  });
});

describe('a consistent state is not reported', () => {
  test('messages in the intake, in lanes, held, dead and sent', async () => {
    const at = shard();
    await at.intake.add(jobName, encodeWire(at.message('new')), { jobId: 'new', removeOnComplete: true });
    await at.row('waiting');
    await at.job('waiting');
    await at.row('held', 'held');
    await at.letter('held');
    await at.row('dead', 'dead');
    await at.letter('dead');
    await at.row('sent', 'sent');
    await at.contents.put('new', Buffer.from('x'));
    expect(await at.findings({ fix: true })).toEqual([]);
  });

  test('a lane that an operator paused', async () => {
    const at = shard();
    await at.row('m');
    await at.job('m');
    await at.lanes.pause('relay');
    expect(await at.findings()).toEqual([]);
  });

  test('messages on their way, while a worker routes, sends and defers hundreds of them', async () => {
    const at = shard();
    const producer = testProducer(at.prefix);
    const reply = { code: '451', enhancedCode: null, text: 'later' };
    const later = { kind: 'settled', recipients: [] } as const;
    const { of } = await startWorker({
      prefix: at.prefix,
      config: configOf({ relay: {} }),
      scripts: {
        relay: Array.from({ length: 100 }, (_, n) => (mail) => {
          if (n % 2 === 0) return { ...later, recipients: accept(mail.envelope.to, reply) };
          const recipients = mail.envelope.to.map(
            (address) => ({ address, outcome: 'deferred', scope: 'recipient', reply }) as const,
          );
          return { kind: 'settled', recipients };
        }),
      },
    });
    const found: Finding[] = [];
    for (const batch of ['a', 'b', 'c']) {
      await producer.sendMany(Array.from({ length: 100 }, (_, n) => at.message(`${batch}${n}`)));
      found.push(...(await at.findings({ lookAgainMs: 300 })));
    }
    await until(() => of('sent').length === 300, { what: 'all to be sent' });
    expect(found).toEqual([]);
    expect(await at.findings()).toEqual([]);
  });
});

function accept(to: readonly string[], reply: { code: string; enhancedCode: null; text: string }) {
  return to.map(
    (address) => ({ address, outcome: 'accepted', scope: 'message', reply: { ...reply, code: '250' } }) as const,
  );
}

describe('a repair', () => {
  test('does not drop a dead letter that a worker has written meanwhile', async () => {
    const at = shard();
    await at.row('m');
    await at.job('m');
    await at.letter('m');
    let looks = 0;
    const deadLetters = {
      ...at.deadLetters,
      async summary(id: string) {
        const letter = await at.deadLetters.summary(id);
        looks += 1;
        // Right after the second look, which is the last before the repair.
        if (looks === 2) await at.redis.hset(at.keys.deadLetter(id), 'at', '8');
        return letter;
      },
    };
    expect(await at.findings({ fix: true }, { deadLetters })).toMatchObject([
      { kind: 'letter-requeued', fixed: false },
    ]);
    expect(await at.deadLetters.get('m')).toMatchObject({ at: 8 });
  });
});

describe('postlane doctor', () => {
  test('exits with 0 if nothing disagrees or all is repaired, otherwise with 1', async () => {
    const at = shard();
    const smtp = '{ direction: outgoing, smtp: { host: 127.0.0.1, security: none } }';
    const lines = ['hostname: mail.example.com', 'systemDefaultGateway: relay', `connectors: { relay: ${smtp} }`];
    const here = project([`redis: { prefix: "${at.prefix}" }`, ...lines, ''].join('\n'));
    expect(await here.callJson(['doctor'])).toMatchObject({ code: 0, values: [] });
    await at.row('m');
    const finding = { kind: 'message-nowhere', id: 'm' };
    expect(await here.callJson(['doctor'])).toMatchObject({ code: 1, values: [{ ...finding, fixed: false }] });
    expect(await here.callJson(['doctor', '--fix'])).toMatchObject({ code: 0, values: [{ ...finding, fixed: true }] });
    expect(await here.callJson(['doctor'])).toMatchObject({ code: 0, values: [] });
    await at.row('n');
    const { stdout, stderr } = await here.call(['doctor']);
    expect(stdout).toContain('message-nowhere  n');
    expect(stderr).toContain('1 found, 0 repaired');
  });
});
