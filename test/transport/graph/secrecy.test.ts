/** A program with a Graph connector shows no secret in any log at any level, and connects to no host but the configured ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { FakeGraph } from '../../../testkit/graph/fake-graph.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import { settled } from '../../support/accounting.ts';
import { project } from '../../support/cli.ts';
import { fakeGraph, graphConfig } from '../../support/graph-project.ts';
import { testProducer } from '../../support/postlane.ts';
import { redisUrl, testPrefix } from '../../support/redis.ts';
import { root } from '../../support/source.ts';
import { until } from '../../../testkit/until.ts';

/** As much as they can be made to tell: ours, Node's, the SDKs'. */
const talkative = { AZURE_LOG_LEVEL: 'verbose', DEBUG: '*', NODE_DEBUG: 'none' };
const message = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };

/** Of the secrets, those that are in a text: as they are, and as they are in base64 and in a form. */
function shownIn(text: string, graph: FakeGraph): string[] {
  return graph
    .secrets()
    .flatMap((secret) => [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)])
    .filter((form) => text.includes(form));
}

async function scene() {
  const [graph, prefix] = [await fakeGraph(), testPrefix()];
  // Nothing of this is about second copies.
  const connector = { retry: { firstDelay: '50ms', maxDelay: '200ms' }, onUncertain: 'retry' };
  const here = project(graphConfig(graph, { prefix, connector, rest: { log: { level: 'debug' } } }));
  return { graph, prefix, here, file: join(here.folder, 'connections') };
}

describe('a worker that sends through Graph in every way, with everything going wrong once', () => {
  test('shows no secret, and connects only to Redis, Entra, Graph and the upload host', async () => {
    const { graph, prefix, here, file } = await scene();
    graph.script(
      'token',
      faults.entra(7000222, `The secret ${graph.app.clientSecret} has expired.`),
      faults.reset('after-work'),
      faults.answer(500, `<html>${graph.app.clientSecret}</html>`),
    );
    graph.script('sendMail', faults.invalidToken(), faults.internal(), faults.reset('after-body'), faults.throttled(1));
    // An answer that repeats what it was asked with.
    // Something in between that repeats what it was asked with, as an error of Graph's and as a page.
    const echo = (): string => `Token: ${graph.secrets().findLast((secret) => secret.startsWith('fake.'))}`;
    graph.script('sendMail', () => {
      const count = graph.count('sendMail');
      if (count >= 8) return null;
      return count === 6 ? faults.answer(502, `<title>${echo()}</title>`) : faults.graph(500, 'Echo', echo());
    });
    graph.script('uploadRange', faults.reset('mid-body'), faults.unavailable());
    const NODE_OPTIONS = `--import ${join(root, 'test/support/connections.ts')}`;
    const worker = await here.worker({ env: { ...talkative, NODE_OPTIONS, CONNECTIONS_FILE: file } });
    const producer = testProducer(prefix);
    const ids = ['m0', 'm1', 'm2', 'large'];
    // A fault of the secret pauses the lane for a minute: the operator knows better.
    const resumed = until(
      async () => {
        if (graph.deliveries.length >= ids.length) return true;
        await here.call(['resume', 'sales']);
        return false;
      },
      { what: 'all of them', timeoutMs: 40_000 },
    );
    await producer.sendMany(ids.slice(0, 3).map((id) => ({ ...message, id })));
    await producer.send({
      ...message,
      id: 'large',
      attachments: [{ filename: 'a.bin', content: Buffer.alloc(4_000_000, 'x') }],
    });
    await resumed;
    const rows = await settled(producer, ids);
    expect(await worker.end()).toBe(0);

    expect(graph.secrets().length).toBeGreaterThan(3);
    expect(shownIn(worker.output(), graph)).toEqual([]);
    expect(shownIn(JSON.stringify(rows), graph)).toEqual([]);
    const { host: redis } = new URL(redisUrl());
    const allowed = [redis, `127.0.0.1:${graph.port}`];
    const seen = new Set(readFileSync(file, 'utf8').trim().split('\n'));
    expect([...seen].toSorted()).toEqual(allowed.toSorted());
  }, 60_000);
});

describe('commands', () => {
  test.each([
    ['all is well', null],
    ['the secret has expired', faults.entra(7000222, 'The secret has expired.')],
    ['Entra answers with a page', faults.badGateway()],
  ])('check --connect shows no secret if %s', async (_when, fault) => {
    const { graph, here, file } = await scene();
    graph.script('token', ...(fault === null ? [] : [fault]));
    const NODE_OPTIONS = `--import ${join(root, 'test/support/connections.ts')}`;
    const env = { ...talkative, NODE_OPTIONS, CONNECTIONS_FILE: file };
    const checked = await here.run(['check', '--connect'], { env });
    expect(graph.count('token')).toBeGreaterThan(0);
    expect(shownIn(checked.stdout + checked.stderr, graph)).toEqual([]);
    expect(checked.stdout + checked.stderr).toContain('sales');
    const others = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .filter((line) => ![new URL(redisUrl()).host, `127.0.0.1:${graph.port}`].includes(line));
    expect(others).toEqual([]);
  });
});
