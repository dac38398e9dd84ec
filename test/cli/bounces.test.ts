/** Delivery reports with whole processes: from the mailbox at a real IMAP server to `status`, the search and the metrics. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dovecotMissing, dovecotUser, startDovecot, type Dovecot } from '../../testkit/dovecot.ts';
import { until } from '../../testkit/until.ts';
import { report } from '../bounces/reports/case.ts';
import { project, type Project } from '../support/cli.ts';
import { startTestServer } from '../support/cli-config.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

const missing = dovecotMissing();
const anna = 'anna@example.net';
const status = `Final-Recipient: rfc822; ${anna}\nAction: failed\nStatus: 5.1.1\n`;

describe.skipIf(missing !== null)('a worker with `bounces: true`', () => {
  let server: Dovecot;
  beforeAll(async () => {
    server = await startDovecot();
  });
  afterAll(() => server.stop());

  async function sent() {
    const prefix = testPrefix();
    const relay = await startTestServer();
    const configOf = (bounces: boolean, password = dovecotUser.password): string =>
      relay.config(
        prefix,
        {
          mailbox: `{ direction: incoming, bounces: ${bounces}, incoming: { protocol: imap, host: 127.0.0.1, port: ${server.ports.tls}, user: ${dovecotUser.user}, password: "${password}", tls: { ca: ca.pem, servername: localhost } } }`,
        },
        ['metrics: { listen: "127.0.0.1:0" }', 'log: { level: debug }'],
      );
    const here = project(configOf(false));
    here.write('ca.pem', server.ca);
    const send = async (id: string): Promise<void> => {
      await here.call(['send', '--id', id, '--from', 'shop@example.com', '--to', anna, '--text', 'x', '--wait']);
      await server.deliver([report(status, `Message-ID: ${await messageIdOf(here, id)}\n`)]);
    };
    return { prefix, here, send, configOf };
  }

  test('notes what came back, once it is switched on by a reload, and shows it', async () => {
    const { here, send, configOf } = await sent();
    const worker = await here.worker();
    await send('m');
    expect(worker.lines().some(({ event }) => event.startsWith('mailbox'))).toBe(false);
    here.write('postlane.yaml', configOf(true));
    worker.child.kill('SIGHUP');
    expect(await worker.logged('bounce')).toMatchObject({ id: 'm', connector: 'mailbox', recipients: 1 });
    const { values } = await here.callJson(['status', 'm']);
    expect(values[0]).toMatchObject({
      state: 'sent',
      recipients: [{ address: anna, bounce: { action: 'failed', status: '5.1.1', permanent: true } }],
    });
    expect(values[0]!['recipients']).toMatchObject([{ bounce: { at: expect.stringMatching(/^\d{4}-.*Z$/) } }]);
    expect((await here.call(['status', 'm'])).stdout).toContain('CAME BACK');
    const found = await here.callJson(['messages', '--bounced']);
    expect(found.values).toMatchObject([{ id: 'm', recipients: [{ bounce: { action: 'failed' } }] }]);
    await worker.logged('mailbox-read');
    const { port } = await worker.logged('metrics-listening');
    const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text();
    expect(text).toContain('postlane_bounces_total{outcome="matched"} 1');
    expect(text).toContain('postlane_mailbox_readings_total{outcome="ok"} 1');
    const readAt = Number(/^postlane_mailbox_oldest_read_timestamp_seconds (\S+)$/m.exec(text)?.[1]);
    expect(Math.abs(readAt - Date.now() / 1_000)).toBeLessThan(60);
    expect(await worker.end()).toBe(0);
  });

  test('a mailbox that refuses the password holds up no mail, and no password is in the log', async () => {
    const { here, send, configOf } = await sent();
    here.write('postlane.yaml', configOf(true, 'wrong-secret'));
    const worker = await here.worker();
    expect(await worker.logged('mailbox-failed')).toMatchObject({ connector: 'mailbox', fault: 'auth', failures: 1 });
    await send('m');
    expect(worker.output()).not.toContain('wrong-secret');
    expect(await worker.end()).toBe(0);
  });

  test('a worker that is killed while it reads leaves all to the next one, and each report is told once', async () => {
    const { prefix, here, send, configOf } = await sent();
    const first = await here.worker();
    const ids = Array.from({ length: 20 }, (_, n) => `m${n}`);
    for (const id of ids) await send(id);
    here.write('postlane.yaml', configOf(true));
    first.child.kill('SIGHUP');
    await first.logged('bounce');
    first.child.kill('SIGKILL');
    await first.ended();
    // As if the two minutes of its lease were over.
    expect(await testConnection().del(keysOf(prefix).mailboxLease('mailbox'))).toBe(1);
    const second = await here.worker();
    const all = async (): Promise<number> => (await here.callJson(['messages', '--bounced'])).values.length;
    await until(async () => (await all()) === ids.length, { what: 'every report to be in its row', timeoutMs: 90_000 });
    for (const id of ids) {
      const { values } = await here.callJson(['status', id]);
      const history = values[0]!['history'] as readonly { readonly event: string }[];
      expect(history.filter(({ event }) => event === 'bounced')).toHaveLength(1);
    }
    expect(await second.end()).toBe(0);
  });
});

async function messageIdOf(here: Project, id: string): Promise<string> {
  const { values } = await here.callJson(['status', id]);
  return String(values[0]!['messageId']);
}
