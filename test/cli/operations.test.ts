/** The command line for an operator: operations in the background, and what is done to one message. */
import { expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { project, type Project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { plantDead } from '../support/operators.ts';
import { testPrefix } from '../support/redis.ts';

/** With `count` dead letters. */
async function setUp(count = 0, script = {}) {
  const server = await startTestServer({ script });
  const prefix = testPrefix();
  const lost = `{ direction: outgoing, onUncertain: hold, smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`;
  const here = project(server.config(prefix, { lost }, ['retention: { content: 1h }']));
  await plantDead(
    prefix,
    Array.from({ length: count }, () => ({})),
  );
  return { here, server };
}

const audited = async (here: Project, action: string): Promise<unknown[]> =>
  (await here.callJson(['audit', '--action', action])).values.map(({ result, reason }) => [result, reason]);

test('operations begins, shows, slows down and stops a bulk drop, and runs one to its end', async () => {
  const { here } = await setUp(30);
  expect((await here.call(['operations'])).stdout).toBe('No operations.\n');
  const begun = await here.callJson(['dead', 'drop', '--all', '--yes', '--background', '--note', 'a test']);
  expect(begun).toMatchObject({ code: 0, stderr: '' });
  const id = String(begun.values[0]?.['id']);
  expect((await here.callJson(['operations', 'show', id])).values).toMatchObject([
    { id, kind: 'drop', state: 'running', total: 30, done: 0, reason: 'a test', through: 'cli' },
  ]);
  expect((await here.callJson(['operations', 'rate', id, '600/m'])).values).toMatchObject([{ ratePerSecond: 10 }]);
  expect((await here.callJson(['operations', 'rate', id, 'none'])).values).toMatchObject([{ ratePerSecond: null }]);
  expect((await here.callJson(['operations', 'rate', id, '1000000/s'])).code).toBe(2);
  expect((await here.callJson(['operations', 'run', id])).values).toMatchObject([
    { state: 'done', done: 30, results: { dropped: 30 } },
  ]);
  expect((await here.call(['operations', 'list'])).stdout).toMatch(/drop +done +30 of 30/);
  expect((await here.callJson(['dead', 'list'])).values).toEqual([]);
});

test('an operation that is stopped is over for all: what it has not done stays, and it cannot be changed', async () => {
  const { here } = await setUp(3);
  const begun = await here.callJson(['dead', 'replay', '--all', '--background', '--rate', '1/m']);
  const id = String(begun.values[0]?.['id']);
  const stopped = await here.callJson(['operations', 'stop', id, '--reason', 'enough']);
  expect(stopped).toMatchObject({ code: 0, values: [{ state: 'stopped', stopReason: 'enough' }] });
  for (const again of [
    ['operations', 'stop', id],
    ['operations', 'rate', id, '5/s'],
  ]) {
    const refused = await here.call(again);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('is over: stopped')]);
  }
  for (const verb of ['show', 'stop', 'run']) {
    expect((await here.call(['operations', verb, 'op_nothing'])).stderr).toContain('postlane operations list');
  }
  expect((await here.callJson(['dead', 'list'])).values).toHaveLength(3);
  expect(await audited(here, 'operation-stop')).toContainEqual(['done', 'enough']);
});

test('a scheduled message is sent now, once; sent again, it is a new message; and what cannot be done says why', async () => {
  const { here, server } = await setUp();
  const worker = await here.worker();
  const mail = ['--from', 'a@example.com', '--to', 'b@example.net', '--text', 'x'];
  await here.callJson(['send', ...mail, '--id', 'later', '--send-at', '2099-01-01T00:00:00Z']);
  expect(await here.callJson(['send-now', 'later'])).toMatchObject({
    code: 0,
    values: [{ id: 'later', result: 'sent-now' }],
  });
  const sent = async (id: string): Promise<boolean> =>
    (await here.callJson(['status', id])).values[0]?.['state'] === 'sent';
  await until(async () => sent('later'), { what: 'it to be sent' });
  expect(await here.call(['send-now', 'later'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Only scheduled and deferred messages'),
  });
  const [again] = (await here.callJson(['resend', 'later'])).values;
  expect(again).toMatchObject({ resendOf: 'later', id: expect.not.stringMatching(/^later$/) });
  await until(async () => sent(String(again?.['id'])), { what: 'the new one to be sent' });
  expect(server.received.transactions).toHaveLength(2);
  expect(await here.callJson(['cancel', 'later'])).toMatchObject({ code: 1 });
  for (const command of ['send-now', 'resend', 'cancel']) {
    expect((await here.call([command, 'nothing'])).stderr).toContain('No message has the id');
  }
  expect(await audited(here, 'send-now')).toEqual([['done', null]]);
  expect(await audited(here, 'resend')).toEqual([['done', null]]);
  await worker.end();
});

test('a held message that was sent through a chosen connector is resolved, and goes on through it', async () => {
  const { here, server } = await setUp(0, { '.': ['reset'] });
  const worker = await here.worker();
  await here.callJson(['send', '--from', 'a@example.com', '--to', 'b@example.net', '--id', 'm', '--via', 'lost']);
  await worker.logged('held');
  const resolved = await here.callJson(['resolve', 'm', '--as', 'retry', '--reason', 'it never came']);
  expect(resolved).toMatchObject({ code: 0, values: [{ id: 'm', result: 'retry' }] });
  await worker.logged('sent');
  const [row] = (await here.callJson(['status', 'm'])).values;
  expect(row).toMatchObject({ state: 'sent', connector: 'lost', rule: 'via' });
  expect(server.received.transactions.map(({ accepted }) => accepted)).toEqual([false, true]);
  expect((await here.callJson(['resolve', 'm', '--as', 'sent'])).code).toBe(1);
  expect(await audited(here, 'resolve')).toEqual([
    ['refused', null],
    ['done', 'it never came'],
  ]);
  await worker.end();
});
