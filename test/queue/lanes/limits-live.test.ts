/** Limits that are changed in the file take effect for all workers, without a restart and without a loss. */
import { expect, test } from 'vitest';
import { project } from '../../support/cli.ts';
import { startTestServer } from '../../support/cli-config.ts';
import { testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

test('recipients, bytes, pace and concurrency follow the file, over two workers; each message is sent once', async () => {
  const server = await startTestServer();
  const prefix = testPrefix();
  const withLimits = (limits: string): string =>
    server.config(prefix).replace('direction: outgoing,', `direction: outgoing, limits: { ${limits} },`);
  const here = project(withLimits('recipientsPerDay: 2'));
  const workers = [await here.worker(), await here.worker()];
  let changes = 0;
  const change = async (limits: string): Promise<void> => {
    here.write('postlane.yaml', withLimits(limits));
    changes += 1;
    await Promise.all(workers.map((worker) => worker.logged('config-applied', changes)));
  };
  const row = async () => (await here.callJson(['connectors'])).values[0]!;
  const sent = (): number => server.received.transactions.length;
  const waitsFor = (reason: string, sentBefore: number) =>
    until(async () => sent() === sentBefore && (await row())['waitingFor'] === reason && row(), {
      what: `${sentBefore} to be sent, and the lane to wait for ${reason}`,
    });

  const ids = Array.from({ length: 20 }, (_, i) => `m${i}`);
  const about = ['--from', 'me@example.com', '--text', 'x'.repeat(900)];
  await Promise.all(ids.map((id) => here.call(['send', ...about, '--to', `${id}@example.net`, '--id', id])));
  await waitsFor('recipients-per-day', 2);

  await change('recipientsPerDay: 4');
  await waitsFor('recipients-per-day', 4);

  // A window that two of them do not fit into; the day does not matter any more.
  await change('bytes: 2KB/1h');
  await waitsFor('bytes', 5);

  await change('messagesPerMinute: 20, concurrency: 2');
  expect(await row()).toMatchObject({ concurrency: 2, limits: { concurrency: 2, bytesPerWindow: null } });
  const paced = sent();
  await until(async () => sent() > paced && (await row())['waitingFor'] === 'rate', { what: 'the lane to be paced' });

  await change('messagesPerMinute: 1');
  expect(await row()).toMatchObject({ concurrency: 5, limits: { messagesPerMinute: 1 } });
  const slower = sent();

  // A slower pace was in force: the twenty would have taken minutes.
  await change('messagesPerMinute: 6000, concurrency: 3');
  await until(() => sent() === 20, { what: 'the rest to be sent' });
  expect(slower).toBeLessThan(20);
  expect(await row()).toMatchObject({ waiting: 0, concurrency: 3, sent: 20 });
  const recipients = server.received.transactions.flatMap(({ to }) => to);
  expect(recipients.toSorted()).toEqual(ids.map((id) => `${id}@example.net`).toSorted());
  const rows = await Promise.all(ids.map(async (id) => (await here.callJson(['status', id])).values[0]));
  expect(rows.map((each) => [each?.['state'], each?.['attempts']])).toEqual(ids.map(() => ['sent', 1]));
});
