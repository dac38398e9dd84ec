/** Mailboxes by Microsoft Graph: what is read, what is left as it was, what breaks off at every step, and what a server may say. */
import { expect, test } from 'vitest';
import { createGraphSource } from '../../src/bounces/graph.ts';
import { maxReadBytes } from '../../src/bounces/bounds.ts';
import { defaultMailboxTiming, readMailbox, type RoundTools } from '../../src/bounces/round.ts';
import { MailboxFailure } from '../../src/bounces/source.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import { faults } from '../../testkit/graph/faults.ts';
import type { FakeGraphOptions } from '../../testkit/graph/fake-graph.ts';
import { until } from '../../testkit/until.ts';
import { apiProblems } from '../support/graph-api-check.ts';
import { settingsFor } from '../support/graph-client.ts';
import { fakeGraph } from '../support/graph-project.ts';
import { all, dayMs, mailsOf, never, optionsOf, plain, reportOn, sentMessages } from './reading.ts';
import { head } from './reports/case.ts';

const address = 'sales@example.com';
const idIn = (mail: string): string | undefined => /<(\w+)@x\.test>/.exec(mail)?.[1];

async function mailbox(options: FakeGraphOptions & { readonly settings?: Partial<GraphSettings> } = {}) {
  const graph = await fakeGraph(options);
  const inbox = graph.mailbox(address);
  const sourceOf = (now: () => number = Date.now) =>
    createGraphSource({ ...settingsFor(graph), ...options.settings }, address, now);
  /** Fails if anything but a GET went to the mailbox, or a call that the API does not have. */
  const nothingChanged = (): void => {
    const ofMail = graph.requests.filter(({ operation }) => operation !== 'token' && operation !== 'discovery');
    expect(new Set(ofMail.map(({ method }) => method))).toEqual(new Set(['GET']));
    expect(apiProblems(ofMail)).toEqual([]);
    expect(inbox.in('inbox').every(({ isRead }) => !isRead)).toBe(true);
  };
  return { graph, inbox, sourceOf, nothingChanged };
}

test('only what may be a report is fetched, and nothing of it is changed', async () => {
  const { graph, inbox, sourceOf, nothingChanged } = await mailbox();
  inbox.receive(plain(1));
  inbox.receive(reportOn('<a@x.test>'));
  inbox.receive(plain(2));
  inbox.receive(reportOn('<b@x.test>'));
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['a', 'b']);
  expect([graph.count('listFolderMessages'), graph.count('getContent')]).toEqual([1, 2]);
  nothingChanged();
});

test('a page that is shorter than was asked for is not taken for the last one', async () => {
  const { inbox, sourceOf, nothingChanged } = await mailbox();
  inbox.pages.most = 2;
  for (let n = 1; n <= 5; n += 1) inbox.receive(plain(n));
  inbox.receive(reportOn('<a@x.test>'));
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['a']);
  nothingChanged();
});

test('each way to know a report by its header: no return path, Auto-Submitted, failed recipients, Exchange itself without a header', async () => {
  const { inbox, sourceOf } = await mailbox();
  const wrapped = (n: string, more: string): string =>
    `From: Scanner <scan@example.net>\n${more}Subject: ${n}\nContent-Type: multipart/mixed; boundary=b\n\n<${n}@x.test>\n`;
  inbox.receive(wrapped('path', 'Return-Path: <>\n'));
  inbox.receive(wrapped('auto', 'Auto-Submitted: auto-replied\n'));
  inbox.receive(wrapped('person', 'Auto-Submitted: no\nReturn-Path: <scan@example.net>\n'));
  inbox.receive(wrapped('failed', 'X-Failed-Recipients: anna@example.net\n'));
  inbox.receive(wrapped('typed', '').replace('multipart/mixed', 'Multipart/Report'));
  const exchange = inbox.receive(
    wrapped('exchange', '').replace('scan@example.net', 'MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@c.test'),
  );
  Object.assign(exchange, { headers: [] });
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['path', 'auto', 'failed', 'typed', 'exchange']);
});

test('octets that are no UTF-8 come as they are', async () => {
  const { inbox, sourceOf } = await mailbox();
  const octets = Buffer.concat([Buffer.from(head('mailer-daemon@mx.test', 'x')), Buffer.from([10, 0xe4, 0xff, 0x80])]);
  inbox.receive(octets);
  const [found] = await all(sourceOf());
  expect(found?.kind === 'mail' ? Buffer.from(found.bytes) : null).toEqual(octets);
});

test('goes on behind the place where it ended, and fetches nothing twice', async () => {
  const { graph, inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<a@x.test>'));
  const source = sourceOf();
  const after = (await all(source)).at(-1)!.place;
  expect(mailsOf(await all(source, optionsOf({ after })))).toEqual([]);
  inbox.receive(reportOn('<b@x.test>'));
  expect(mailsOf(await all(source, optionsOf({ after }))).map(idIn)).toEqual(['b']);
  expect(graph.count('getContent')).toBe(2);
});

test('a mail that Exchange shows a minute late is read all the same', async () => {
  const { inbox, sourceOf } = await mailbox();
  const now = Date.now();
  inbox.receive(reportOn('<a@x.test>'), now);
  const source = sourceOf();
  const after = (await all(source)).at(-1)!.place;
  inbox.receive(reportOn('<late@x.test>'), now - 60_000);
  expect(mailsOf(await all(source, optionsOf({ after }))).map(idIn)).toEqual(['late']);
});

test('a place of another protocol, or one that is nonsense, begins anew', async () => {
  const { inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<a@x.test>'));
  for (const after of ['1234.17', '', 'zz!', '{"a":1}', ' '.repeat(5)]) {
    expect(mailsOf(await all(sourceOf(), optionsOf({ after })))).toHaveLength(1);
  }
});

test('leaves out what came before messages are forgotten', async () => {
  const { inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<old@x.test>'), Date.now() - 30 * dayMs);
  inbox.receive(reportOn('<new@x.test>'));
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['new']);
});

test('hundreds of reports that came in one second are read, each once, over several lists and readings', async () => {
  const { inbox, sourceOf } = await mailbox();
  const at = Math.floor(Date.now() / 1_000) * 1_000;
  for (let n = 0; n < 120; n += 1) inbox.receive(reportOn(`<m${n}@x.test>`), at);
  const source = sourceOf();
  const found: (string | undefined)[] = [];
  let after: string | null = null;
  for (let reading = 0; reading < 5; reading += 1) {
    let taken = 0;
    for await (const each of source.read(optionsOf({ after }))) {
      after = each.place;
      if (each.kind === 'mail') found.push(...mailsOf([each]).map(idIn));
      taken += 1;
      if (taken >= 50) break;
    }
  }
  expect(found).toHaveLength(120);
  expect(new Set(found)).toEqual(new Set(Array.from({ length: 120 }, (_, n) => `m${n}`)));
});

test('mails that are deleted while lists are read hide no other', async () => {
  const { graph, inbox, sourceOf } = await mailbox();
  const now = Date.now();
  const others = Array.from({ length: 60 }, (_, n) => inbox.receive(plain(n), now - 100_000 + n * 1_000));
  inbox.receive(reportOn('<a@x.test>'), now);
  graph.script('listFolderMessages', null, () => {
    for (const each of others.splice(0)) inbox.remove(each);
    return null;
  });
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['a']);
});

test('a mail that is gone when it is asked for is passed over', async () => {
  const { graph, inbox, sourceOf } = await mailbox();
  const gone = inbox.receive(reportOn('<gone@x.test>'));
  inbox.receive(reportOn('<a@x.test>'));
  let asked = 0;
  graph.script('getContent', () => {
    asked += 1;
    if (asked === 1) inbox.remove(gone);
    return null;
  });
  expect(mailsOf(await all(sourceOf())).map(idIn)).toEqual(['a']);
});

test('headers that are too long for one answer: fewer mails are listed together, and one that is alone too long is known by its sender', async () => {
  const { inbox, sourceOf } = await mailbox();
  const filler = `X-Filler: ${'y'.repeat(990)}\n`;
  for (let n = 0; n < 40; n += 1) inbox.receive(filler.repeat(60) + plain(n));
  inbox.receive(filler.repeat(1_200) + reportOn('<huge@x.test>'));
  inbox.receive(reportOn('<a@x.test>'));
  expect(mailsOf(await all(sourceOf())).map((mail) => idIn(mail.slice(-2_000)) ?? 'cut')).toEqual(['cut', 'a']);
});

test('of a mail of 20 MiB the first mebibyte is read', async () => {
  const { inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<a@x.test>') + `${'x'.repeat(76)}\n`.repeat((20 * 1024 * 1024) / 77));
  const [mail] = mailsOf(await all(sourceOf()));
  expect(mail!.length).toBeLessThanOrEqual(maxReadBytes);
  expect(mail!.length).toBeGreaterThan(maxReadBytes * 0.9);
  expect(idIn(mail!)).toBe('a');
});

test('a mail that is to be skipped is not asked for, and the place behind it is given', async () => {
  const { graph, inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<bad@x.test>'));
  inbox.receive(reportOn('<good@x.test>'));
  graph.script('getContent', faults.internal());
  const source = sourceOf();
  const error = await all(source).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(MailboxFailure);
  const { place } = error as MailboxFailure;
  const found = await all(source, optionsOf({ skip: place, oneByOne: true }));
  expect(mailsOf(found).map(idIn)).toEqual(['good']);
  expect(mailsOf(await all(source, optionsOf({ after: found.at(-1)!.place })))).toEqual([]);
});

test.each([
  ['an application that may not read', () => faults.accessDenied(), 'config', null, 'Mail.Read'],
  ['429 with Retry-After', () => faults.throttled(90), 'throttled', 90_000, ''],
  ['503 with Retry-After', () => faults.unavailable(30), 'throttled', 30_000, ''],
  ['a mailbox that does not exist', () => faults.mailboxMissing(), 'config', null, ''],
  ['502 of a gateway', () => faults.badGateway(), 'unreachable', null, '502'],
  ['a list that is no JSON', () => faults.answer(200, 'hello'), 'protocol', null, 'no list'],
  ['a list that breaks off', () => faults.cut(), 'unreachable', null, 'broke off'],
  ['a connection that is reset', () => faults.reset('after-body'), 'unreachable', null, ''],
] as const)('%s is a fault with a name, and no secret is in it', async (_what, fault, named, retryAfterMs, said) => {
  const { graph, inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<a@x.test>'));
  graph.script('listFolderMessages', fault());
  const error = (await all(sourceOf()).then(
    () => null,
    (thrown: unknown) => thrown,
  )) as MailboxFailure;
  expect(error).toBeInstanceOf(MailboxFailure);
  expect(error).toMatchObject({ fault: named, retryAfterMs, place: null });
  expect(error.message).toContain(said);
  for (const secret of graph.secrets()) expect(error.message).not.toContain(secret);
});

test('a mail of which only a part comes is not taken for the whole', async () => {
  const { graph, inbox, sourceOf } = await mailbox();
  inbox.receive(reportOn('<a@x.test>'));
  graph.script('getContent', faults.cut());
  await expect(all(sourceOf())).rejects.toMatchObject({ fault: 'unreachable', place: expect.stringMatching(/^#/) });
});

test('attack: ids and times that a server makes up neither climb in a path nor hold the reader', async () => {
  const { graph, sourceOf } = await mailbox();
  const item = (id: unknown, receivedDateTime: unknown) => ({
    id,
    receivedDateTime,
    from: { emailAddress: { address: 'mailer-daemon@mx.test' } },
  });
  const time = new Date().toISOString();
  const value = [
    item('../../../sendMail', time),
    item('a/../b', time),
    item('$value', time),
    item('x'.repeat(5_000), time),
    item('AAA', 'yesterday'),
    item(7, time),
    null,
    'text',
    item('AAA', '1970-01-01T00:00:00Z'),
  ];
  graph.script('listFolderMessages', () => faults.answer(200, JSON.stringify({ value })));
  expect(mailsOf(await all(sourceOf()))).toEqual([]);
  expect(graph.requests.filter(({ operation }) => operation === 'unknown')).toEqual([]);
});

test('attack: a server that always has another full list is left after a thousand', async () => {
  const { graph, sourceOf } = await mailbox();
  const value = Array.from({ length: 25 }, () => ({ id: 'AAA', receivedDateTime: '1970-01-01T00:00:00Z' }));
  const text = JSON.stringify({ value });
  graph.script('listFolderMessages', () => faults.answer(200, text));
  expect(mailsOf(await all(sourceOf()))).toEqual([]);
  expect(graph.count('listFolderMessages')).toBe(1_000);
});

test('what may be read is told: nothing missing, an empty Inbox, and Mail.ReadBasic alone', async () => {
  const { graph, inbox, sourceOf, nothingChanged } = await mailbox();
  expect(await sourceOf().check(never)).toBe(
    'the Inbox of sales@example.com can be listed; it is empty, so no mail was read',
  );
  inbox.receive(plain(1));
  expect(await sourceOf().check(never)).toBe('the Inbox of sales@example.com can be read');
  Object.assign(inbox.permissions, { read: false, list: true });
  await expect(sourceOf().check(never)).rejects.toThrow(/Mail\.Read: /);
  Object.assign(inbox.permissions, { list: false });
  await expect(sourceOf().check(never)).rejects.toMatchObject({ fault: 'config' });
  expect(graph.count('getContent')).toBe(2);
  nothingChanged();
});

async function message() {
  const { graph, inbox, sourceOf, nothingChanged } = await mailbox();
  const sent = await sentMessages();
  const source = sourceOf();
  const round = (tools: RoundTools = sent.toolsOf(), token = 't1') =>
    readMailbox(
      { connector: 'relay', key: `relay/${address}`, source, lookBackMs: 7 * dayMs, token, signal: never },
      tools,
    );
  return { graph, inbox, nothingChanged, ...sent, round };
}

test('a report among 10,000 other mails is found by lists of 25, and none of the others is fetched', async () => {
  const { graph, inbox, send, bounced, round, producer, told, toolsOf, nothingChanged } = await message();
  const now = Date.now();
  const id = await send('m');
  for (let n = 0; n < 5_000; n += 1) inbox.receive(plain(n), now - 5_000_000 + n * 500);
  inbox.receive(reportOn(id), now - 2_500_000);
  for (let n = 0; n < 5_000; n += 1) inbox.receive(plain(n), now - 2_500_000 + n * 500);
  const heapBefore = process.memoryUsage().heapUsed;
  let requests = 0;
  await until(
    async () => {
      await round(toolsOf(), `t${(requests += 1)}`);
      return told.some(({ event }) => event === 'bounce') && graph.count('listFolderMessages') >= 400;
    },
    { what: 'all to be read' },
  );
  expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(150 * 1024 * 1024);
  expect((await producer.status('m'))?.recipients[0]?.bounce).toMatchObject({ action: 'failed', status: '5.1.1' });
  expect(await bounced()).toEqual(['m']);
  expect(graph.count('getContent')).toBe(1);
  expect(graph.count('listFolderMessages')).toBeLessThan(440);
  nothingChanged();
});

test('each request fails once, one after the other: each report is written once, and nothing is changed', async () => {
  const { graph, inbox, send, bounced, round, toolsOf, nothingChanged } = await message();
  const ids: string[] = [];
  const breaks = [
    faults.reset('before-body'),
    faults.reset('after-body'),
    faults.reset('after-work'),
    faults.reset('mid-response'),
    faults.cut(),
    faults.badGateway(),
    faults.throttled(0),
    faults.internal(),
    faults.invalidToken(),
  ];
  let broken = 0;
  for (const [n, fault] of breaks.entries()) {
    for (const operation of ['token', 'listFolderMessages', 'getContent'] as const) {
      const id = `m${n}${operation}`;
      inbox.receive(plain(n));
      inbox.receive(reportOn(await send(id)));
      ids.push(id);
      if (operation === 'token') graph.revokeTokens();
      const entry = graph.script(operation, fault);
      await round(toolsOf(), `a${id}`);
      broken += entry.used;
      const all = async (): Promise<boolean> => {
        await round(toolsOf(), `b${id}`);
        return (await bounced()).length >= ids.length;
      };
      await until(all, { what: `${id} to be read` });
      entry.clear();
      expect((await bounced()).toSorted()).toEqual(ids.toSorted());
    }
  }
  expect(broken).toBeGreaterThan(20);
  nothingChanged();
});

test('a process that is killed between reading and writing, or between the row and the place, loses and repeats nothing', async () => {
  const { inbox, send, bounced, round, toolsOf, operator, producer } = await message();
  inbox.receive(reportOn(await send('m')));
  const timing = { ...defaultMailboxTiming, leaseMs: 300 };
  const reached = Promise.withResolvers<void>();
  const beforeTheRow = {
    ...operator.bounceNotes,
    write() {
      reached.resolve();
      return new Promise<never>(() => undefined);
    },
  };
  void round(toolsOf({ notes: beforeTheRow, timing }), 'dead');
  await reached.promise;
  expect(await bounced()).toEqual([]);
  // It wrote the row, and dies before the place is noted.
  const beforeThePlace = toolsOf({
    mailboxes: { ...operator.mailboxes, hold: () => new Promise(() => undefined) },
    timing,
  });
  await until(
    async () => {
      void round(beforeThePlace, 'dead too');
      return (await bounced()).length === 1;
    },
    { what: 'the row to be written' },
  );
  const row = await producer.status('m');
  await until(async () => (await round(toolsOf(), 'next')).waitMs === 0, { what: 'the lease to end' });
  expect(await producer.status('m')).toEqual(row);
  expect(await bounced()).toEqual(['m']);
});

test('two processes: one reads, the other is told to wait; and if both read after all, each report is written once', async () => {
  const { inbox, send, bounced, round, toolsOf, operator, told } = await message();
  for (let n = 0; n < 5; n += 1) inbox.receive(reportOn(await send(`m${n}`)));
  const rounds = await Promise.all([round(toolsOf(), 'one'), round(toolsOf(), 'two')]);
  expect(rounds.filter(({ waitMs }) => waitMs > 0)).toHaveLength(1);
  expect(told.filter(({ event }) => event === 'bounce')).toHaveLength(5);
  const mailboxes = {
    ...operator.mailboxes,
    take: async () => ({ waitMs: 0, place: null, readAt: null, failures: 0 }),
    hold: async () => true,
  };
  await Promise.all([round(toolsOf({ mailboxes }), 'three'), round(toolsOf({ mailboxes }), 'four')]);
  expect((await bounced()).toSorted()).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
});

test('attack: a forged report, with our Message-ID and a recipient to whom the mail never went, changes nothing', async () => {
  const { inbox, send, bounced, round, told, producer } = await message();
  const id = await send('m');
  const before = await producer.status('m');
  inbox.receive(reportOn(id, 'boss@victim.test'));
  inbox.receive(reportOn('<m.0000000000@example.com>'));
  await round();
  expect(told).toMatchObject([
    { event: 'bounce-unmatched', why: 'stranger' },
    { event: 'bounce-unmatched', why: 'unknown' },
    { event: 'mailbox-read' },
  ]);
  expect(await producer.status('m')).toEqual(before);
  expect(await bounced()).toEqual([]);
});

test('Retry-After of Graph is obeyed, and the mailbox is read after it', async () => {
  const { graph, inbox, send, bounced, round, told, toolsOf } = await message();
  inbox.receive(reportOn(await send('m')));
  graph.script('listFolderMessages', faults.throttled(2));
  expect((await round()).waitMs).toBe(2_000);
  expect(told).toMatchObject([{ event: 'mailbox-failed', fault: 'throttled', failures: 1, waitMs: 2_000 }]);
  const asked = graph.requests.length;
  expect((await round(toolsOf(), 't2')).waitMs).toBeGreaterThan(0);
  expect(graph.requests).toHaveLength(asked);
  await until(async () => (await round(toolsOf(), 't3')).waitMs === 0, { what: 'it to be due' });
  expect(await bounced()).toEqual(['m']);
});

test('a mail that fails five readings in a row is passed over, and the ones behind it are read', async () => {
  const { graph, inbox, send, bounced, round, told, toolsOf } = await message();
  inbox.receive(reportOn(await send('bad')));
  inbox.receive(reportOn(await send('good')));
  const [bad] = inbox.in('inbox');
  graph.script('getContent', ({ path }) =>
    path.includes(encodeURIComponent(bad!.immutableId)) ? faults.internal() : null,
  );
  const timing = { ...defaultMailboxTiming, everyMs: 0, mostDelayMs: 0 };
  for (let n = 0; n < 5; n += 1) await round(toolsOf({ timing }), `t${n}`);
  expect(await bounced()).toEqual([]);
  await round(toolsOf({ timing }), 'last');
  expect(await bounced()).toEqual(['good']);
  expect(told.filter(({ event }) => event === 'bounce-skipped')).toHaveLength(1);
  expect(told.at(-1)).toMatchObject({ event: 'mailbox-read' });
});
