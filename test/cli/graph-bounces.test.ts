/** Delivery reports through Graph with whole processes: what `check --connect` says, and from the mailbox to `status`. */
import { expect, test } from 'vitest';
import { report } from '../bounces/reports/case.ts';
import { project } from '../support/cli.ts';
import { fakeGraph, graphConfig } from '../support/graph-project.ts';
import { testPrefix } from '../support/redis.ts';

const sales = 'sales@example.com';
const anna = 'anna@example.net';
const status = `Final-Recipient: rfc822; ${anna}\nAction: failed\nStatus: 5.1.1\n`;

async function set(prefix = testPrefix()) {
  const graph = await fakeGraph();
  const rest = { suppressions: { fromBounces: true }, metrics: { listen: 'none' } };
  const configOf = (bounces: boolean): string => graphConfig(graph, { prefix, connector: { bounces }, rest });
  return { graph, inbox: graph.mailbox(sales), here: project(configOf(false)), configOf };
}

test('a worker reads what came back to a Graph mailbox, and leaves the mailbox as it was', async () => {
  const { graph, inbox, here, configOf } = await set();
  const worker = await here.worker();
  await here.call(['send', '--id', 'm', '--from', sales, '--to', anna, '--text', 'x', '--wait']);
  const sent = await here.callJson(['status', 'm']);
  inbox.receive(`From: ${anna}\nSubject: Hello\n\nundeliverable\n`);
  inbox.receive(report(status, `Message-ID: ${String(sent.values[0]!['messageId'])}\n`));
  here.write('postlane.yaml', configOf(true));
  worker.child.kill('SIGHUP');
  expect(await worker.logged('bounce')).toMatchObject({ id: 'm', connector: 'sales', recipients: 1 });
  expect(await worker.logged('bounce-suppressed')).toMatchObject({ id: 'm', recipients: 1 });
  const { values } = await here.callJson(['status', 'm']);
  expect(values[0]).toMatchObject({ state: 'sent', recipients: [{ bounce: { action: 'failed', status: '5.1.1' } }] });
  const list = await here.callJson(['suppressions', 'list']);
  expect(JSON.stringify(list.values)).toContain(anna);
  expect(inbox.in('inbox').every(({ isRead }) => !isRead)).toBe(true);
  expect(graph.count('getContent')).toBe(1);
  expect(await worker.end()).toBe(0);
  for (const secret of graph.secrets()) expect(worker.output()).not.toContain(secret);
});

test('check --connect tries the mailbox, and names the permission that is missing', async () => {
  const { inbox, here, configOf } = await set();
  here.write('postlane.yaml', configOf(true));
  inbox.receive(`From: ${anna}\nSubject: Hello\n\nHello\n`);
  const good = await here.callJson(['check', '--connect']);
  expect(good.code).toBe(0);
  expect(good.values[0]).toMatchObject({
    ok: true,
    mailboxes: [
      { connector: 'sales', protocol: 'graph', ok: true, fault: null, detail: `the Inbox of ${sales} can be read` },
    ],
  });
  Object.assign(inbox.permissions, { read: false, list: true });
  const refused = await here.callJson(['check', '--connect']);
  expect(refused.code).toBe(1);
  expect(refused.values[0]).toMatchObject({
    ok: false,
    connectors: [{ ok: true }],
    mailboxes: [{ ok: false, fault: 'config', detail: expect.stringContaining('needs Mail.Read') }],
  });
  expect((await here.call(['check', '--connect'])).stdout).toContain('mailbox by graph');
});
