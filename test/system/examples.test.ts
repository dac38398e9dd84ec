/** Runs every example as its reader would: as a program, against a real worker. */
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { simpleParser } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import { project, type WorkerProcess } from '../support/cli.ts';
import { postgresMissing } from '../../testkit/postgres.ts';
import { startTestServer, type TestServer } from '../support/cli-config.ts';
import { startCollector } from '../support/collector.ts';
import { serveApi } from '../support/http-server.ts';
import { filePostgres } from '../support/postgres.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { root, textOf } from '../support/source.ts';

async function runExample(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'examples', name), ...args], {
    env: { ...process.env, REDIS_URL: redisUrl(), ...env },
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as unknown, stdout, stderr };
}

async function setUp(): Promise<{
  server: TestServer;
  worker: WorkerProcess;
  prefix: string;
  here: ReturnType<typeof project>;
}> {
  const server = await startTestServer();
  const prefix = testPrefix();
  const here = project(server.config(prefix));
  return { server, worker: await here.worker(), prefix, here };
}

test('the example enqueue.ts sends a message and reports it', async () => {
  const { server, prefix } = await setUp();
  const ended = await runExample('enqueue.ts', ['you@example.net'], { POSTLANE_PREFIX: prefix });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(/^enqueued (welcome-\d+)\n\1 is sent\n$/);
  expect(server.received.transactions).toMatchObject([{ from: 'sales@example.com', to: ['you@example.net'] }]);
});

describe.skipIf(postgresMissing() !== null)('with PostgreSQL (Debian package postgresql)', () => {
  const postgres = filePostgres();

  test('the example outbox.ts saves an order with its mail, and neither where the order fails', async () => {
    const { server, worker, here } = await setUp();
    const url = await postgres().create('shop');
    const ended = await runExample('outbox.ts', ['you@example.net'], { DATABASE_URL: url });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toBe('saved, with the mail order-1-thanks\nnot saved, and no mail: the card was refused\n');
    const relay = await here.outbox({ env: { POSTLANE_DATABASE_URL: url } });
    expect(await relay.logged('outbox-relayed')).toMatchObject({ relayed: 1, duplicates: 0 });
    await worker.logged('sent');
    expect(await relay.end()).toBe(0);
    expect(server.received.transactions).toMatchObject([{ from: 'sales@example.com', to: ['you@example.net'] }]);
  });
});

test('the example nodemailer.ts sends by Postlane what it sent by SMTP before one line changed', async () => {
  const { server, worker, prefix } = await setUp();
  const ours = /createTransport\(postlaneTransport\(\{ redis \}\)\)/;
  const source = textOf('examples/nodemailer.ts');
  expect(source).toMatch(ours);
  const before = join(root, 'examples', `before-${process.pid}.ts`);
  writeFileSync(before, source.replace(ours, `createTransport({ host: '127.0.0.1', port: ${server.port} })`));
  onTestFinished(() => rmSync(before));
  expect(await runExample(`before-${process.pid}.ts`, [], {})).toMatchObject({ code: 0, stderr: '' });
  const ended = await runExample('nodemailer.ts', [], { POSTLANE_PREFIX: prefix });
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(/^250 2\.0\.0 queued as [0-9a-f-]{36}\n$/);
  await worker.logged('sent');
  const [alone, queued] = await Promise.all(
    server.received.transactions.map(async ({ from, to, bytes }) => {
      const { subject, text, html, attachments, from: author, to: reader } = await simpleParser(bytes);
      const files = attachments.map((each) => [each.contentType, each.content.toString()]);
      return { from, to, subject, text, html, files, author: author?.text, reader };
    }),
  );
  expect(server.received.transactions).toHaveLength(2);
  expect(queued).toEqual(alone);
});

test('the example enqueue.ts names the field of a bad address and ends with exit code 1', async () => {
  const ended = await runExample('enqueue.ts', ['nobody'], { POSTLANE_PREFIX: testPrefix() });
  expect(ended.code).toBe(1);
  expect(ended.stderr).toMatch(/^message-invalid .*to/);
});

test('a message of the example foreign-producer.mjs, which knows only the wire format, arrives', async () => {
  const { server, worker, prefix, here } = await setUp();
  const args = { POSTLANE_PREFIX: prefix, MESSAGE_ID: 'foreign-1' };
  expect(await runExample('foreign-producer.mjs', ['you@example.net'], args)).toMatchObject({
    code: 0,
    stdout: 'foreign-1\n',
  });
  expect(await worker.logged('sent')).toMatchObject({ id: 'foreign-1', connector: 'relay' });
  expect(server.received.transactions[0]?.bytes.toString()).toContain('Sent by a foreign producer.');
  expect((await here.callJson(['status', 'foreign-1'])).values[0]).toMatchObject({ state: 'sent' });
});

test('a bad message of a foreign producer becomes a dead letter invalid-message that says what is wrong', async () => {
  const { server, worker, prefix, here } = await setUp();
  await runExample('foreign-producer.mjs', ['no address'], { POSTLANE_PREFIX: prefix, MESSAGE_ID: 'foreign-2' });
  await worker.logged('dead');
  const { values } = await here.callJson(['dead', 'show', 'foreign-2']);
  expect(values[0]).toMatchObject({ reason: 'invalid-message', data: { v: 1, message: { to: ['no address'] } } });
  expect(values[0]?.['reply']).toMatch(/to.*no @/);
  expect(server.received.transactions).toEqual([]);
});

test('the example postlane.yaml is valid', async () => {
  const here = project(textOf('examples/postlane.yaml'));
  const names = ['RELAY_PASSWORD', 'SALES_SECRET', 'FINANCE_PASSWORD', 'ARCHIVE_PASSWORD'];
  const env = Object.fromEntries(names.map((name) => [name, 'x']));
  expect(await here.callJson(['check'], { env })).toMatchObject({ code: 0, values: [{ ok: true, warnings: [] }] });
  expect((await here.callJson(['explain', 'x@finance.example.com'], { env })).values[0]).toMatchObject({
    connector: 'finance',
    rule: 'domain',
  });
});

test('the example otel.mjs: one trace from a request over HTTP to the reply of the mail server, through two processes, and in their logs', async () => {
  const collector = await startCollector();
  const env = {
    NODE_OPTIONS: `--import ${join(root, 'examples/otel.mjs')}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_SERVICE_NAME: 'postlane-test',
  };
  const api = await serveApi({ env });
  const worker = await api.here.worker({ env });
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const message = { id: 'm', from: 'sales@example.com', to: 'you@example.net', text: 'x' };
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  expect(await api.post('/v1/messages', message, { headers })).toMatchObject({ status: 202 });
  expect(await worker.logged('sent')).toMatchObject({ id: 'm', trace_id: traceId, trace_flags: '01' });
  expect(await worker.logged('routed')).toMatchObject({ trace_id: traceId });
  expect(await api.serve.logged('request')).toMatchObject({ route: 'submitMessage', trace_id: traceId });
  expect(await api.serve.logged('serving')).not.toHaveProperty('trace_id');
  // What an SDK has gathered is handed over at the end.
  expect(await Promise.all([worker.end(), api.serve.end()])).toEqual([0, 0]);
  const spans = collector.spans().filter((span) => span.traceId === traceId);
  const nameOf = (id: string | undefined): string => spans.find(({ spanId }) => spanId === id)?.name ?? 'the client';
  expect(new Map(spans.map((span) => [span.name, nameOf(span.parentSpanId)]))).toEqual(
    new Map([
      ['POST /v1/messages', 'the client'],
      ['send outbound', 'POST /v1/messages'],
      ['route outbound', 'send outbound'],
      ['deliver lane', 'send outbound'],
      ['smtp connect', 'deliver lane'],
      ['smtp send', 'deliver lane'],
    ]),
  );
  expect(new Set(collector.spans().map(({ service }) => service))).toEqual(new Set(['postlane-test']));
  expect(collector.text()).not.toMatch(/you@|sales@/);
});
