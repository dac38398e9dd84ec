/** Ids that clients choose, and those that they get: 250 is only ever said of the message that is in Redis, whatever was refused before. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { testConnection } from '../support/redis.ts';
import type { SmtpSession } from '../support/smtp-session.ts';
import { startSubmission, submissionKit, type SubmissionKit, type TestSubmission } from '../support/submission.ts';

let kit: SubmissionKit;
beforeAll(async () => void (kit = await submissionKit()));

const user = 'user: erp, from: ["*@example.com"], options: true';
const other: OutboundMessage = { from: 'boss@example.com', to: 'b@example.net', text: 'of somebody else' };
const data = 'From: erp@example.com\r\nSubject: Invoice\r\n\r\nSee attachment.\r\n';

function mailOf(id: string, more = '') {
  return { from: 'erp@example.com', to: ['a@example.net'], data: `X-Postlane-Id: ${id}\r\n${more}${data}` };
}

async function start(options: Parameters<typeof startSubmission>[1] = {}) {
  const here = await startSubmission(kit, { users: [user], ...options });
  const producer = testProducer(here.prefix, options.url === undefined ? {} : { url: options.url });
  return { here, producer, session: await here.open({ user: 'erp' }) };
}

/** Sessions that have all sent everything but the final dot. */
async function ready(here: TestSubmission, mails: readonly { readonly data: string }[]): Promise<SmtpSession[]> {
  const sessions = await Promise.all(mails.map(() => here.open({ user: 'erp' })));
  await Promise.all(
    sessions.map(async (session, i) => {
      for (const line of ['MAIL FROM:<erp@example.com>', 'RCPT TO:<a@example.net>', 'DATA']) await session.say(line);
      session.write(mails[i]!.data);
    }),
  );
  return sessions;
}

test('an id that another message has is refused each time, and never 250', async () => {
  const { here, producer, session } = await start();
  await producer.send({ ...other, id: 'order-1' });
  for (let tries = 0; tries < 3; tries += 1) {
    expect(await session.send(mailOf('order-1'))).toMatch(/^554 5\.6\.0 .*another message/);
  }
  expect(here.of('submitted')).toEqual([]);
  expect((await producer.status('order-1'))?.from).toBe('boss@example.com');
});

describe('a mail that was refused and is sent again is no message of somebody else who has its id meanwhile, where it was refused', () => {
  test('for the quota of the day', async () => {
    const limited = `${user}, messagesPerDay: 1`;
    const { here, producer, session } = await start({ users: [limited] });
    expect(await session.send(mailOf('order-1'))).toMatch(/^250 /);
    expect(await session.send(mailOf('order-2'))).toMatch(/^452 4\.7\.1 /);
    await producer.send({ ...other, id: 'order-2' });
    const { submission } = here.config;
    const users = submission.users.map((each) => ({ ...each, quota: { messagesPerDay: 5, recipientsPerDay: null } }));
    here.submission.apply({ ...here.config, submission: { ...submission, users } });
    expect(await session.send(mailOf('order-2'))).toMatch(/^554 5\.6\.0 /);
  });

  test('for more recipients than a day may have', async () => {
    const { here, producer, session } = await start({ users: [`${user}, recipientsPerDay: 1`] });
    const mail = { ...mailOf('order-1'), to: ['a@example.net', 'c@example.net'] };
    expect(await session.send(mail)).toMatch(/^554 5\.7\.1 /);
    await producer.send({ ...other, id: 'order-1' });
    const { submission } = here.config;
    const users = submission.users.map((each) => ({
      ...each,
      quota: { messagesPerDay: null, recipientsPerDay: null },
    }));
    here.submission.apply({ ...here.config, submission: { ...submission, users } });
    expect(await session.send(mail)).toMatch(/^554 5\.6\.0 /);
  });

  test('because the quota could not be asked for', async () => {
    const { here, producer, session } = await start({ users: [`${user}, messagesPerDay: 5`] });
    const redis = testConnection();
    await session.send(mailOf('order-1'));
    const [counter = ''] = await redis.keys(`${here.prefix}*:quota:*`);
    await redis.rename(counter, `${counter}-away`);
    await redis.set(counter, 'a key of a stranger');
    expect(await session.send(mailOf('order-2'))).toMatch(/^451 4\.3\.0 /);
    await redis.del(counter);
    await producer.send({ ...other, id: 'order-2' });
    expect(await session.send(mailOf('order-2'))).toMatch(/^554 5\.6\.0 /);
  });

  test('because Redis had no room', async () => {
    const redis = await ownRedis();
    const { producer, session } = await start({ url: redis.url });
    await redis.admin.config('SET', 'maxmemory', '1mb');
    expect(await session.send(mailOf('order-1'))).toMatch(/^452 4\.3\.1 /);
    await redis.admin.config('SET', 'maxmemory', '0');
    await producer.send({ ...other, id: 'order-1' });
    expect(await session.send(mailOf('order-1'))).toMatch(/^554 5\.6\.0 /);
  });

  test('because it was no valid message', async () => {
    const { producer, session } = await start();
    const late = mailOf(
      'order-1',
      'X-Postlane-Send-At: 2099-01-01T00:00:00Z\r\nX-Postlane-Expires-At: 2098-01-01T00:00:00Z\r\n',
    );
    const [first] = [await session.send(late)];
    expect(first).toMatch(/^554 5\.6\.0 /);
    await producer.send({ ...other, id: 'order-1' });
    expect(await session.send(late)).toMatch(/^554 5\.6\.0 /);
  });
});

describe('many sessions with one id at the same moment', () => {
  const delayed = 'X-Postlane-Send-At: 2099-01-01T00:00:00Z\r\n';

  test.each([
    ['at once', ''],
    ['later', delayed],
  ])('and the same mail, to be sent %s: each is told 250, and it is one message', async (_when, more) => {
    const { here } = await start();
    const mail = mailOf('order-1', more);
    const sessions = await ready(
      here,
      Array.from({ length: 8 }, () => mail),
    );
    const said = await Promise.all(sessions.map((session) => session.say('.')));
    expect(said).toEqual(said.map(() => '250 2.0.0 queued as order-1'));
    expect(here.of('submitted').filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(await here.queued()).toHaveLength(1);
  });

  test.each([
    ['at once', ''],
    ['later', delayed],
    ['at once, with contents that are stored beside it', `X-Filler: ${`${'x'.repeat(900)}\r\n `.repeat(100)}\r\n`],
  ])(
    'and different mails, to be sent %s: one is told 250 and is the one that is queued, the others are refused',
    async (_when, more) => {
      const { here } = await start();
      const mails = Array.from({ length: 8 }, (_, i) => mailOf('order-1', `${more}X-Nth: <${i}>\r\n`));
      const sessions = await ready(here, mails);
      const said = await Promise.all(sessions.map((session) => session.say('.')));
      const taken = said.flatMap((reply, i) => (reply.startsWith('250 ') ? [i] : []));
      expect(taken).toHaveLength(1);
      expect(said.filter((reply) => reply.startsWith('554 5.6.0 '))).toHaveLength(7);
      const again = await here.open({ user: 'erp' });
      for (const [i, mail] of mails.entries()) {
        expect((await again.send(mail)).slice(0, 3)).toBe(i === taken[0] ? '250' : '554');
      }
      expect(await here.queued()).toHaveLength(1);
    },
  );

  test('each that is told 250 finds its message in Redis at that moment', async () => {
    const { here } = await start();
    const redis = testConnection();
    const mails = Array.from({ length: 24 }, (_, i) => mailOf(`order-${i % 6}`));
    const sessions = await ready(here, mails);
    const found = await Promise.all(
      sessions.map(async (session, i) => {
        expect(await session.say('.')).toBe(`250 2.0.0 queued as order-${i % 6}`);
        return redis.exists(`${here.prefix}:outbound:order-${i % 6}`);
      }),
    );
    expect(found).toEqual(found.map(() => 1));
  });
});

test('the id of a message that is over is the same message for its own mail, and taken for any other', async () => {
  const { producer, session } = await start();
  expect(await session.send(mailOf('order-1'))).toMatch(/^250 /);
  expect(await producer.cancel('order-1')).toBe(true);
  expect(await session.send(mailOf('order-1'))).toMatch(/^250 /);
  expect(await session.send(mailOf('order-1', 'X-Nth: 2\r\n'))).toMatch(/^554 5\.6\.0 /);
  expect((await producer.status('order-1'))?.state).toBe('cancelled');
});

describe('without an id of its own, a mail with a Message-ID', () => {
  const plain = { from: 'erp@example.com', to: ['a@example.net'], data: `Message-ID: <1@example.com>\r\n${data}` };

  test('that was refused for the quota is stored when it is sent again, once', async () => {
    const { here, session } = await start({ users: [`${user}, messagesPerDay: 1`] });
    expect(await session.send(mailOf('order-1'))).toMatch(/^250 /);
    expect(await session.send(plain)).toMatch(/^452 4\.7\.1 /);
    expect(await session.send(plain)).toMatch(/^452 4\.7\.1 /);
    const { submission } = here.config;
    const users = submission.users.map((each) => ({ ...each, quota: { messagesPerDay: 2, recipientsPerDay: null } }));
    here.submission.apply({ ...here.config, submission: { ...submission, users } });
    for (let tries = 0; tries < 2; tries += 1) expect(await session.send(plain)).toMatch(/^250 /);
    expect(await here.queued()).toHaveLength(2);
  });

  test('that many sessions send at the same moment is one message, in Redis before the first 250', async () => {
    const { here } = await start();
    const redis = testConnection();
    const sessions = await ready(
      here,
      Array.from({ length: 8 }, () => plain),
    );
    const ids = await Promise.all(
      sessions.map(async (session) => {
        const id = /^250 2\.0\.0 queued as (\S+)$/.exec(await session.say('.'))?.[1] ?? '';
        expect(await redis.exists(`${here.prefix}:outbound:${id}`)).toBe(1);
        return id;
      }),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await here.queued()).toHaveLength(1);
  });
});
