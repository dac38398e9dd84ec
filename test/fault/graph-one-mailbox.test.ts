/** One mailbox of a Graph connector is full, unknown, suspended or throttled: the mail of the others goes on. */
import { expect, test } from 'vitest';
import { faults, type Fault } from '../../testkit/graph/faults.ts';
import { settled } from '../support/accounting.ts';
import { project } from '../support/cli.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const [good, bad] = ['good@example.com', 'bad@example.com'];
const kinds: readonly (readonly [string, Fault])[] = [
  ['throttled', faults.throttled()],
  ['accessDenied', faults.accessDenied()],
];

test.for(kinds)('%s: others of the lane are sent at once, and its own wait', async ([, fault]) => {
  const prefix = testPrefix();
  const graph = await fakeGraph({ mailboxes: [good, bad] });
  graph.script('sendMail', ({ mailbox }) => (mailbox === bad ? fault : null));
  const producer = testProducer(prefix);
  const mail = (id: string, from: string) => ({ id, from, to: `${id}@example.net`, text: 'x' });
  const ids = Array.from({ length: 12 }, (_, i) => `m${i}`);
  await producer.sendMany([mail('bad1', bad), mail('bad2', bad), ...ids.map((id) => mail(id, good))]);
  const here = project(
    graphConfig(graph, { prefix, mailboxes: [good], connector: { address: undefined, addresses: [good, bad] } }),
  );
  const worker = await here.worker();

  const rows = await settled(
    producer,
    ids.map((id) => ({ id })),
  );
  expect(rows.filter(({ state, attempts }) => state !== 'sent' || attempts !== 1)).toEqual([]);
  await worker.logged('set-aside');
  expect(worker.of('connector-fault')).toEqual([]);
  for (const id of ['bad1', 'bad2']) expect((await producer.status(id))?.state).not.toBe('dead');
});
