/** Where Redis is: one server, a Cluster or Sentinels, with users and TLS; what makes no sense is named with its key. */
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const over = (redis: string): string =>
  `redis: ${redis}\n${withConnector('direction: outgoing\nsmtp: { host: a.example }')}`;

describe('redis', () => {
  test('is one server by its URL, a Cluster by its nodes, or a master by its Sentinels', async () => {
    expect((await goodConfig(over('{ url: "redis://r:1/2" }'))).redis).toEqual({
      url: 'redis://r:1/2',
      prefix: '{postlane}',
    });
    const cluster =
      '{ cluster: { nodes: ["redis://a:1", "redis://b:2"] }, username: u, password: "${P}", prefix: "{p}" }';
    expect((await goodConfig(over(cluster), { env: { P: 'secret' } })).redis).toEqual({
      cluster: { nodes: ['redis://a:1', 'redis://b:2'] },
      username: 'u',
      password: 'secret',
      prefix: '{p}',
    });
    const sentinel = '{ sentinel: { name: mail, nodes: ["redis://s:1"], username: su, password: sp }, db: 3, tls: {} }';
    expect((await goodConfig(over(sentinel))).redis).toEqual({
      sentinel: { name: 'mail', nodes: ['redis://s:1'], username: 'su', password: 'sp' },
      db: 3,
      tls: {},
      prefix: '{postlane}',
    });
  });

  test('of REDIS_URL overrides every form, and keeps TLS and users of the file', async () => {
    const env = { REDIS_URL: 'rediss://r:1' };
    const text = over('{ cluster: { nodes: ["redis://${NONE}:1"] }, tls: { servername: r.example }, username: u }');
    expect((await goodConfig(text, { env })).redis).toEqual({
      url: 'rediss://r:1',
      tls: { servername: 'r.example' },
      username: 'u',
      prefix: '{postlane}',
    });
  });

  test.each(['q7/Zx+0aBc4=', '41#x', 'a?b', '50%off', 'a%41b', 'p@ss:word', 'ünï'])(
    'takes the password %s of a reference in a URL as it is',
    async (password) => {
      const text = over('{ url: "redis://worker:${P}@r:6379/1" }');
      const { redis } = await goodConfig(text, { env: { P: password } });
      const client = new Redis('url' in redis ? redis.url : '', { lazyConnect: true });
      expect(client.options).toMatchObject({ host: 'r', port: 6379, db: 1, username: 'worker', password });
    },
  );

  test('leaves references outside of the login of a URL as they are', async () => {
    const env = { URL: 'redis://:a%2Fb@r:1', HOST: '[::1]', DB: '2' };
    expect((await goodConfig(over('{ url: "${URL}" }'), { env })).redis).toMatchObject({ url: env.URL });
    const parts = over('{ url: "redis://u:p@${HOST}:6379/${DB}" }');
    expect((await goodConfig(parts, { env })).redis).toMatchObject({ url: 'redis://u:p@[::1]:6379/2' });
  });

  test.each(['redis://:q7/Zx@r:6379', 'redis://:41#x@r', 'redis://:50%off@r', 'redis://:a?b@r'])(
    'says of %s, of the file or of REDIS_URL, how to write the password',
    async (url) => {
      for (const issue of [
        await onlyIssue(over(`{ url: "${url}" }`)),
        await onlyIssue(over('{}'), { env: { REDIS_URL: url } }),
      ]) {
        expect(issue).toMatchObject({ key: 'redis.url', rule: 'url' });
        expect(issue.message).toContain('percent-encode / # ? @ : and % in the password, or use redis.password');
      }
    },
  );

  test('reads certificates from files beside the configuration', async () => {
    const { ca, server } = await createCertificates();
    const { cert, key } = server;
    const files = { '/etc/postlane/ca.pem': ca, '/etc/postlane/own.crt': cert, '/etc/postlane/own.key': key };
    const tls = '{ ca: ca.pem, cert: own.crt, key: own.key }';
    const { redis } = await goodConfig(over(`{ url: "rediss://r", tls: ${tls} }`), { files });
    expect(redis).toMatchObject({ tls: { ca, cert, key } });
    const sentinel = `{ name: m, nodes: ["rediss://s"], tls: ${tls} }`;
    expect((await goodConfig(over(`{ sentinel: ${sentinel} }`), { files })).redis).toMatchObject({
      sentinel: { tls: { ca, cert, key } },
    });
  });

  test.each([
    ['{ url: "redis://a", cluster: { nodes: ["redis://a"] } }', ['1 redis-server redis.cluster']],
    [
      '{ cluster: { nodes: ["redis://a"] }, sentinel: { name: m, nodes: ["redis://s"] } }',
      ['1 redis-server redis.sentinel'],
    ],
    ['{ url: "redis://a", db: 1 }', ['1 redis-server redis.db']],
    ['{ cluster: { nodes: [] } }', ['1 range redis.cluster.nodes']],
    ['{ cluster: { nodes: ["a:6379"] } }', ['1 url redis.cluster.nodes[0]']],
    ['{ cluster: { nodes: ["redis://a/1"] } }', ['1 url redis.cluster.nodes[0]']],
    ['{ cluster: { nodes: ["redis://u:p@a"] } }', ['1 url redis.cluster.nodes[0]']],
    ['{ cluster: {} }', ['1 required redis.cluster.nodes']],
    ['{ sentinel: { nodes: ["redis://s"] } }', ['1 required redis.sentinel.name']],
    ['{ sentinel: { name: m, nodes: ["redis://s"], tls: {} } }', ['1 redis-tls redis.sentinel.tls']],
    ['{ url: "redis://a", tls: {} }', ['1 redis-tls redis.tls']],
    ['{ tls: {} }', ['1 redis-tls redis.tls']],
    ['{ cluster: { nodes: ["redis://a"] }, tls: {} }', ['1 redis-tls redis.tls']],
    ['{ url: "rediss://a", tls: { key: none.key } }', ['1 redis-tls redis.tls', '1 missing-file redis.tls.key']],
    ['{ url: "rediss://a", tls: { ca: x } }', ['1 certificate redis.tls.ca']],
    ['{ clusters: { nodes: ["redis://a"] } }', ['1 unknown-key redis.clusters']],
  ])('%s is refused', async (redis, expected) => {
    expect(await mistakes(over(redis))).toEqual(expected);
  });

  test.each([
    '{ cluster: { nodes: ["redis://u:hunter2@a"] } }',
    '{ cluster: { nodes: "redis://:hunter2@a" } }',
    '{ url: "rediss://a", tls: { key: hunter2, cert: hunter2 } }',
    '{ sentinel: { name: m, nodes: ["redis://s"], password: [hunter2] } }',
  ])('%s never shows its secret', async (redis) => {
    const result = await loadText(over(redis));
    expect(result.ok).toBe(false);
    expect(inspect(result, { depth: 10 })).not.toContain('hunter2');
  });

  test('with an unencrypted URL and TLS settings is refused with what to write instead', async () => {
    expect((await onlyIssue(over('{ url: "redis://a", tls: {} }'))).message).toContain('rediss://');
  });
});
