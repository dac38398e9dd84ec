/** A release starts from what an earlier one has stored, with messages in every state: nothing is lost, and nothing is sent twice. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { WorkerEvent } from '../../src/worker/events.ts';
import { restoreStored, type StoredData } from '../../testkit/stored-data.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { root } from '../support/source.ts';

const folder = join(root, 'test/system/stored');
const releases = readdirSync(folder);
const hourMs = 3_600_000;
const connectors = ['good', 'deferring', 'refusing', 'doubtful', 'throttling', 'paused', 'small', 'hanging', 'half'];
const retry = { firstDelayMs: hourMs, maxDelayMs: 2 * hourMs, lifetimeMs: 24 * hourMs } as const;
const config = configOf(
  Object.fromEntries(
    connectors.map((id) => [
      id,
      {
        addresses: [`*@${id}.test`],
        retry: { ...retry, onUncertain: id === 'doubtful' ? ('hold' as const) : ('retry' as const) },
      },
    ]),
  ),
  {
    systemDefaultGateway: null,
    retry: { ...retry },
    retention: { ledgerMs: 24 * hourMs, deadLetterMs: 24 * hourMs, deadLetterCount: 1_000 },
  },
);

async function restored(release: string, agoMs: number): Promise<string> {
  const stored = JSON.parse(readFileSync(join(folder, release), 'utf8')) as StoredData;
  const redis = testConnection();
  onTestFinished(() => redis.disconnect());
  const prefix = testPrefix();
  await restoreStored(redis, prefix, stored, Date.now() - agoMs);
  return prefix;
}

const states = {
  sent: 'sent',
  deferred: 'deferred',
  rejected: 'dead',
  held: 'held',
  'too-large': 'dead',
  'no-route': 'dead',
  half: 'partial',
  open: 'sending',
  dropped: 'dead',
  'waiting-high': 'queued',
  'waiting-normal': 'queued',
  'waiting-low': 'queued',
  'with-content': 'queued',
  cancelled: 'cancelled',
  expiring: 'queued',
} as const;

describe.for(releases)('stored by the release with form %s', (release) => {
  test('every message has the state that it had, and every dead letter its reason', async () => {
    const prefix = await restored(release, 0);
    const producer = testProducer(prefix);
    const found = await Promise.all(Object.keys(states).map(async (id) => [id, (await producer.status(id))?.state]));
    expect(Object.fromEntries(found)).toEqual(states);
    const operator = await testOperator(prefix);
    const reasons: Record<string, string> = {};
    for await (const { id, reason } of operator.deadLetters.list({})) reasons[id] = reason;
    expect(reasons).toEqual({
      rejected: 'rejected',
      held: 'uncertain',
      'too-large': 'too-large',
      'no-route': 'no-route',
      half: 'rejected',
    });
  });

  test('what waits is sent once, what is held or over stays, and the doctor finds nothing afterwards', async () => {
    // Two hours ago: what was to be tried in an hour is due.
    const prefix = await restored(release, 2 * hourMs);
    const { recorded, events } = await startWorker({ prefix, config });
    const operator = await testOperator(prefix);
    const producer = testProducer(prefix);
    for (const id of ['paused', 'throttling']) await operator.lanes.resume(id);
    const waiting = [
      'waiting-high',
      'waiting-normal',
      'waiting-low',
      'with-content',
      'deferred',
      'throttled',
      'later',
      '42',
      'wait',
      'new-content',
      'open',
    ];
    const stateOf = async (id: string): Promise<string | undefined> => (await producer.status(id))?.state;
    const ended = async (): Promise<boolean> =>
      (await Promise.all([...waiting, 'expiring', 'invalid'].map(stateOf))).every(
        (state) => state === 'sent' || state === 'dead',
      );
    await until(ended, { what: 'everything to end', timeoutMs: 60_000 });
    expect(Object.fromEntries(await Promise.all(waiting.map(async (id) => [id, await stateOf(id)])))).toEqual(
      Object.fromEntries(waiting.map((id) => [id, 'sent'])),
    );
    const mails = connectors.flatMap((id) => recorded(id).mails.map((mail) => mail.id));
    expect(mails.toSorted()).toEqual(waiting.toSorted());
    const content = recorded('paused').mails.find(({ id }) => id === 'with-content');
    expect(content?.bytes.length).toBeGreaterThan(70_000);
    // The attempt that was open may have sent a copy.
    expect((await producer.status('open'))?.history.map(({ event }) => event)).toContain('uncertain');
    expect((await producer.status('expiring'))?.reason).toBe('expired');
    expect((await producer.status('invalid'))?.reason).toBe('invalid-message');
    expect([await stateOf('held'), await stateOf('cancelled'), await stateOf('half')]).toEqual([
      'held',
      'cancelled',
      'partial',
    ]);

    expect(await operator.replay('rejected', { via: null, now: Date.now(), lifetimeMs: hourMs })).toBe('replayed');
    await until(async () => (await stateOf('rejected')) === 'sent', { what: 'the replayed message' });
    expect(events.filter(isTrouble)).toEqual([]);
    const findings = [];
    const senders = connectors;
    const options = { fix: false, now: Date.now, senders, lifetimeMs: hourMs, retentionMs: hourMs, lookAgainMs: 50 };
    for await (const finding of operator.diagnose(options)) findings.push(finding);
    expect(findings).toEqual([]);
  });
});

function isTrouble({ event }: WorkerEvent): boolean {
  return event === 'error' || event === 'format-newer' || event === 'redis-error';
}
