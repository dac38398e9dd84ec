/** Leases of sessions: how many connections a connector may have, counted in Redis over all workers. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { createSessions, type Sessions } from '../../../src/queue/sessions/leases.ts';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import type { SessionLease, LeaseProvider } from '../../../src/transport/smtp/lease-provider.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { createCertificates } from '../../../testkit/certificates.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { mailOf, sendBy, summary } from '../../support/smtp-client.ts';
import { smtpSettings } from '../../../testkit/smtp/settings.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../../testkit/smtp/server.ts';
import { until } from '../../../testkit/until.ts';

const never = new AbortController().signal;

interface Member {
  readonly sessions: Sessions;
  /** Stands still: it hears nothing and says nothing more. */
  die(): void;
}

/** Workers' sides of the leases, each with a connection of its own. A worker's life is short, so that its end can be seen. */
function fleet(prefix = testPrefix(), lifetimeMs = 600) {
  let count = 0;
  const keys = keysOf(prefix);
  const join = async (): Promise<Member> => {
    const redis = testConnection();
    const subscriber = testConnection();
    const sessions = createSessions({ redis, shards: shardsOf(prefix, 1), worker: `w${(count += 1)}`, lifetimeMs });
    subscriber.on('message', (_channel, message) => sessions.onMessage(message));
    await subscriber.subscribe(keys.sessionsChannel);
    const die = (): void => {
      redis.disconnect();
      subscriber.disconnect();
    };
    return { sessions, die };
  };
  return { join, keys };
}

const take = async (leases: LeaseProvider, waitMs = 0): Promise<SessionLease> => {
  const lease = await leases.acquire(waitMs, never);
  if (lease === null) throw new Error('no lease');
  return lease;
};

describe('leases', () => {
  test('are as many as the connector may have, over all workers, and free again when given back', async () => {
    const { join } = fleet();
    const one = (await join()).sessions.of('relay', 3);
    const two = (await join()).sessions.of('relay', 3);
    const held = [await take(one), await take(two), await take(one)];
    expect(await one.acquire(0, never)).toBeNull();
    expect(await two.acquire(0, never)).toBeNull();
    const waiting = two.acquire(5_000, never);
    held[0]!.release();
    held[0]!.release();
    held.push((await waiting)!);
    expect(await one.acquire(0, never)).toBeNull();
    for (const lease of held) lease.release();
  });

  test('of one connector are not those of another', async () => {
    const { join } = fleet();
    const { sessions } = await join();
    expect(await sessions.of('a', 1).acquire(0, never)).not.toBeNull();
    expect(await sessions.of('b', 1).acquire(0, never)).not.toBeNull();
  });

  test('asked for all at once are never more than there are', async () => {
    const { join } = fleet();
    const members = await Promise.all(Array.from({ length: 4 }, join));
    const asked = members.flatMap(({ sessions }) =>
      Array.from({ length: 5 }, () => sessions.of('relay', 7).acquire(0, never)),
    );
    expect((await Promise.all(asked)).filter((lease) => lease !== null)).toHaveLength(7);
  });

  test('of a worker that died are free when its life has ended, and not before', async () => {
    const { join } = fleet();
    const dying = await join();
    const living = await join();
    await take(dying.sessions.of('relay', 1));
    // Another worker is heard all the time, so that only the dead one is silent.
    await take(living.sessions.of('other', 1));
    const diedAt = Date.now();
    dying.die();
    const lease = await living.sessions.of('relay', 1).acquire(10_000, never);
    expect(lease).not.toBeNull();
    expect(Date.now() - diedAt).toBeGreaterThanOrEqual(350);
  });

  test('of a worker that lives are kept however long it has them', async () => {
    const { join } = fleet();
    const lease = await take((await join()).sessions.of('relay', 1));
    const other = (await join()).sessions.of('relay', 1);
    expect(await other.acquire(2_000, never)).toBeNull();
    lease.release();
  });

  test('survive a silence of all workers, because Redis may have been away', async () => {
    const { join, keys } = fleet();
    const { sessions } = await join();
    await take(sessions.of('relay', 1));
    const asker = await join();
    const redis = testConnection();
    // What Redis looks like after it was away for a minute: no worker was heard, and the time of each is over.
    const [seconds] = await redis.time();
    const before = (Number(seconds) - 60) * 1_000;
    await redis.zadd(keys.sessions, before, '*heard', before + 600, 'w1');
    expect(await asker.sessions.of('relay', 1).acquire(0, never)).toBeNull();
  });

  test('of a worker that stood still are said again, and its idle sessions end', async () => {
    const { join, keys } = fleet();
    const { sessions } = await join();
    const leases = sessions.of('relay', 2);
    const told: string[] = [];
    leases.onRecall((which) => void told.push(which));
    await take(leases);
    await take(leases);
    const redis = testConnection();
    await redis.multi().zrem(keys.sessions, 'w1').del(keys.sessionsOf('relay')).exec();
    await until(async () => (await redis.hget(keys.sessionsOf('relay'), 'w1')) === '2', { what: 'w1 to speak' });
    expect(told).toEqual(['all']);
  });

  test('are all given back at a clean end', async () => {
    const { join, keys } = fleet();
    const { sessions } = await join();
    const leases = sessions.of('relay', 2);
    const held = [await take(leases), await take(leases)];
    leases.onRecall(() => held.forEach((lease) => lease.release()));
    await sessions.close();
    expect(await testConnection().exists(keys.sessionsOf('relay'))).toBe(0);
    expect(await leases.acquire(100, never)).toBeNull();
  });

  test('that cannot be asked for, as Redis does not answer, are none, in bounded time', async () => {
    const member = await fleet().join();
    const leases = member.sessions.of('relay', 1);
    member.die();
    expect(await leases.acquire(0, never)).toBeNull();
    expect(await leases.acquire(100, never)).toBeNull();
  });

  test('are not waited for after the signal', async () => {
    const { join } = fleet();
    const leases = (await join()).sessions.of('relay', 1);
    const lease = await take(leases);
    const stop = new AbortController();
    const waiting = leases.acquire(60_000, stop.signal);
    stop.abort();
    expect(await waiting).toBeNull();
    lease.release();
    await take(leases);
  });
});

describe('sessions at the server', () => {
  async function pools(count: number, limit: number, options: SmtpServerOptions = {}) {
    const server = await startSmtpServer(options);
    const { join, keys } = fleet();
    const transports: Transport[] = [];
    for (let index = 0; index < count; index += 1) {
      const { sessions } = await join();
      transports.push(
        createSmtpTransport({
          settings: smtpSettings(server.port),
          hostname: 'client.test',
          maxConnections: limit,
          leases: sessions.of('relay', limit),
        }),
      );
    }
    onTestFinished(async () => {
      await Promise.all(transports.map((transport) => transport.close()));
      await server.stop();
    });
    return { server, transports, keys };
  }

  const opened = (server: SmtpServer): number => server.received.connections;

  test('are never more than the limit over several pools, though all send at once', async () => {
    const { server, transports } = await pools(4, 2);
    const sends = Array.from({ length: 80 }, (_, i) => sendBy(transports[i % 4]!, mailOf({ id: `m${i}` })));
    expect(new Set((await Promise.all(sends)).map(summary))).toEqual(new Set(['accepted']));
    expect(server.received.transactions).toHaveLength(80);
    expect(server.received.highWater).toBe(2);
  });

  test('that are idle end for another pool that has a message', async () => {
    const { server, transports } = await pools(2, 1);
    expect(summary(await sendBy(transports[0]!, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transports[1]!, mailOf()))).toBe('accepted');
    expect(summary(await sendBy(transports[0]!, mailOf()))).toBe('accepted');
    expect([server.received.highWater, opened(server)]).toEqual([1, 3]);
  });

  test('a reservation does not wait for: who has none hands on', async () => {
    const { server, transports } = await pools(2, 1);
    const place = await transports[0]!.reserve!(never, true);
    expect(place).not.toBeNull();
    expect(await transports[1]!.reserve!(never, true)).toBeNull();
    expect(summary(await sendBy(transports[0]!, mailOf()))).toBe('accepted');
    place!.cancel();
    expect(opened(server)).toBe(1);
  });

  test('are replaced after 100 messages without another one beside', async () => {
    const { server, transports } = await pools(2, 1);
    for (let index = 0; index < 101; index += 1) {
      const place = await transports[0]!.reserve!(never, true);
      expect(place).not.toBeNull();
      expect(summary(await sendBy(transports[0]!, mailOf()))).toBe('accepted');
    }
    expect([server.received.highWater, opened(server)]).toEqual([1, 2]);
  });

  test('give their lease back when the server refuses, closes, or upgrades to TLS', async () => {
    const redis = testConnection();
    const { ca, server: tls } = await createCertificates();
    for (const options of [{ script: { CONNECT: '554 no' } }, { script: { EHLO: 'close' } }, { tls }]) {
      const { server, keys } = await pools(0, 1, options);
      const sessions = createSessions({ redis, shards: shardsOf(keys.prefix, 1), worker: 'w' });
      const settings = smtpSettings(server.port, {
        security: 'tls' in options ? 'starttls' : 'none',
        tls: { ca, servername: 'localhost' },
      });
      const leases = sessions.of('relay', 1);
      const transport = createSmtpTransport({ settings, hostname: 'client.test', maxConnections: 1, leases });
      const said = summary(await sendBy(transport, mailOf()));
      expect(said).toBe('tls' in options ? 'accepted' : said.startsWith('fault') ? said : 'a fault');
      await transport.close();
      const lease = await leases.acquire(5_000, never);
      expect(lease).not.toBeNull();
      await until(() => server.received.openConnections === 0, { what: 'the server to see the end' });
      lease!.release();
      await sessions.close();
    }
  });
});
