/** A worker inside an application: its own transport, a configuration file or object, ready and close. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRecordingTransport } from '../../src/testing.ts';
import { createWorker, type EmbeddedWorkerOptions, type WorkerEvent } from '../../src/worker.ts';
import { testProducer } from '../support/postlane.ts';
import { encryptionLines, redisUrl, testPrefix } from '../support/redis.ts';

const message = { from: 'sales@example.com', to: 'a@example.net', subject: 'Hi', text: 'Hello' };

function fileWith(prefix: string, text = ''): string {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-embedded-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'postlane.yaml');
  writeFileSync(
    file,
    `redis: { url: "${redisUrl()}", prefix: "${prefix}" }
hostname: mail.example.com
systemDefaultGateway: relay
unmonitoredAddress: no-reply@example.com
connectors:
  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }
${[text, ...encryptionLines()].join('\n')}
`,
  );
  return file;
}

function embed(options: EmbeddedWorkerOptions) {
  const worker = createWorker(options);
  onTestFinished(async () => {
    await worker.close();
  });
  return worker;
}

describe('a worker inside an application', () => {
  test('sends by the transport that the application makes, and reports what it does', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const transport = createRecordingTransport();
    const events: WorkerEvent[] = [];
    const asked: string[] = [];
    const worker = embed({
      config: fileWith(prefix),
      onEvent: (event) => events.push(event),
      createTransport(connector, { hostname }) {
        asked.push(`${connector.id} of ${hostname}`);
        return transport;
      },
    });
    await worker.ready;
    const { id } = await producer.send(message);
    expect(await producer.waitFor(id)).toMatchObject({ state: 'sent', connector: 'relay' });
    expect(transport.mails.map((mail) => mail.id)).toEqual([id]);
    expect(asked).toEqual(['relay of mail.example.com']);
    // The row says `sent` a moment before the worker has the answer that says so; closing waits for that.
    expect(await worker.close()).toBe(true);
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['ready', 'routed', 'sent']));
    expect(events.at(-1)).toMatchObject({ event: 'stopped', drained: true });
  });

  test('uses the built-in transport where the application has none of its own', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const worker = embed({ config: fileWith(prefix), createTransport: () => undefined });
    await worker.ready;
    const { id } = await producer.send(message);
    const faults = async (): Promise<unknown> => (await producer.status(id))?.state;
    expect(['queued', 'sending', 'deferred']).toContain(await faults());
    expect(await worker.close()).toBe(true);
  });

  test('rejects a configuration with mistakes and names each of them', async () => {
    const worker = embed({ config: fileWith(testPrefix(), 'conectors: {}\n') });
    await expect(worker.ready).rejects.toMatchObject({
      name: 'PostlaneError',
      code: 'config-invalid',
      issues: [expect.objectContaining({ field: 'conectors', rule: 'unknown-key' })],
    });
    expect(await worker.close()).toBe(true);
  });

  test('closes during its start, and by `await using`', async () => {
    const prefix = testPrefix();
    {
      await using worker = createWorker({
        config: fileWith(prefix),
        createTransport: () => createRecordingTransport(),
      });
      await worker.ready;
    }
    const early = createWorker({ config: fileWith(prefix), createTransport: () => createRecordingTransport() });
    expect(await early.close()).toBe(true);
  });
});
