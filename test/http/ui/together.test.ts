/** Two people who act on one thing at once: one of them does it, the other is told what happened. */
import { expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { signIn, wordsOf, type Visitor } from '../../support/dashboard.ts';
import { serveApi } from '../../support/http-server.ts';
import { plantDead } from '../../support/operators.ts';

const people = [
  { id: 'anna', scopes: ['admin'] },
  { id: 'ben', scopes: ['admin'] },
];

/** Both have the page open, and send their forms in the same moment. → what each of them reads. */
async function both(
  one: readonly [Visitor, string, Readonly<Record<string, string>>],
  two: readonly [Visitor, string, Readonly<Record<string, string>>],
): Promise<readonly [string, string]> {
  const [a, b] = await Promise.all(
    [one, two].map(async ([visitor, path, fields]) => ({ visitor, path, fields, csrf: await visitor.csrf() })),
  );
  const sent = await Promise.all(
    [a!, b!].map(({ visitor, path, fields, csrf }) => visitor.post(path, { ...fields, csrf })),
  );
  const [first, second] = await Promise.all(
    sent.map((answer, i) => [a!, b!][i]!.visitor.get(String(answer.headers['location']))),
  );
  return [wordsOf(first!), wordsOf(second!)];
}

test('one cancels a message while another sends it now: it is cancelled or sent, once, and the other is told so', async () => {
  const api = await serveApi({ tokens: people });
  const [anna, ben] = [await signIn(api, 'anna'), await signIn(api, 'ben')];
  await api.here.worker();
  const count = 6;
  for (let n = 0; n < count; n += 1) {
    const sendAt = new Date(Date.now() + 3_600_000).toISOString();
    await api.post('/v1/messages', { id: `m${n}`, from: 'a@example.com', to: 'zoe@example.net', text: 'x', sendAt });
    await until(async () => (await api.ask(`/v1/messages/m${n}`)).body.state === 'scheduled', { what: 'the message' });
    const [cancelled, sent] = await both(
      [anna, `/ui/messages/m${n}/cancel`, {}],
      [ben, `/ui/messages/m${n}/send-now`, {}],
    );
    await until(async () => /^(?:sent|cancelled)$/.test((await api.ask(`/v1/messages/m${n}`)).body.state), {
      what: 'its end',
    });
    const { state } = (await api.ask(`/v1/messages/m${n}`)).body;
    // Who was told that it is cancelled can rely on it.
    expect(cancelled.includes('It is cancelled.')).toBe(state === 'cancelled');
    expect(cancelled.includes('It is cancelled.') || cancelled.includes('Not done:')).toBe(true);
    expect(sent.includes('It is next in line.') || sent.includes('Not done:')).toBe(true);
  }
  const states = await Promise.all(
    Array.from({ length: count }, async (_, n) => (await api.ask(`/v1/messages/m${n}`)).body.state),
  );
  expect(api.mail.received.transactions).toHaveLength(states.filter((state) => state === 'sent').length);
});

test('two cancel one message: it is cancelled once, and the second reads that it is', async () => {
  const api = await serveApi({ tokens: people });
  const [anna, ben] = [await signIn(api, 'anna'), await signIn(api, 'ben')];
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  await api.post('/v1/messages', { id: 'm', from: 'a@example.com', to: 'zoe@example.net', text: 'x', sendAt });
  const answers = await both([anna, '/ui/messages/m/cancel', {}], [ben, '/ui/messages/m/cancel', {}]);
  for (const words of answers) expect(words).toContain('It was cancelled, and is not sent.');
  const { items } = (await api.ask('/v1/audit?action=cancel')).body;
  expect(items.map(({ by }: { by: string }) => by).toSorted()).toEqual(['anna', 'ben']);
});

test('one replays a dead letter while another drops it: one of the two happens, never both', async () => {
  const api = await serveApi({ tokens: people });
  await api.here.worker();
  const ids = await plantDead(
    api.prefix,
    Array.from({ length: 6 }, () => ({})),
  );
  const [anna, ben] = [await signIn(api, 'anna'), await signIn(api, 'ben')];
  for (const id of ids) {
    await both([anna, `/ui/messages/${id}/replay`, {}], [ben, `/ui/messages/${id}/drop`, { reason: 'not needed' }]);
  }
  await until(
    async () => (await api.ask('/v1/operations')).body.items.every(({ state }: { state: string }) => state === 'done'),
    {
      what: 'both operations',
    },
  );
  const { items } = (await api.ask('/v1/operations')).body;
  const done = (kind: string): number =>
    items
      .filter((each: { kind: string }) => each.kind === kind)
      .reduce(
        (sum: number, { results }: { results: Record<string, number> }) =>
          sum + (results[kind === 'replay' ? 'replayed' : 'dropped'] ?? 0),
        0,
      );
  expect(done('replay') + done('drop')).toBe(ids.length);
  await until(() => api.mail.received.transactions.length === done('replay'), { what: 'what was replayed' });
  expect((await api.ask('/v1/dead-letters')).body.items).toEqual([]);
});

test('one pauses and another resumes a connector: the page of both shows what holds, and the audit has both', async () => {
  const api = await serveApi({ tokens: people });
  const [anna, ben] = [await signIn(api, 'anna'), await signIn(api, 'ben')];
  await both([anna, '/ui/connectors/relay/pause', { reason: 'a move' }], [ben, '/ui/connectors/relay/resume', {}]);
  const { paused } = (await api.ask('/v1/connectors/relay')).body;
  for (const visitor of [anna, ben]) {
    expect(wordsOf(await visitor.get('/ui/connectors/relay')).includes('It is paused.')).toBe(paused);
  }
  const { items } = (await api.ask('/v1/audit')).body;
  expect(items.map(({ by }: { by: string }) => by).toSorted()).toEqual(['anna', 'ben']);
});
