/** `doctor` says when a stop would abort sends that the timeouts of a connector allow, and what that means. */
import { expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { shardCount, testPrefix } from '../support/redis.ts';

const configFor = (drain: string): string =>
  [
    `redis: { prefix: "${testPrefix()}", shards: ${shardCount()} }`,
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'connectors:',
    '  relay:',
    '    direction: outgoing',
    '    smtp: { host: 127.0.0.1, port: 2525, security: none, timeouts: { total: 90s, dataTermination: 30s } }',
    `worker: { drain: ${drain} }`,
    '',
  ].join('\n');

test('doctor names the connector, both times, and what to set, and is no failure', async () => {
  const { code, stdout, stderr } = await project(configFor('119s')).call(['doctor']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toContain('worker.drain is 119s, but the timeouts of relay allow a send of 2m.');
  expect(stderr).toContain('becomes uncertain. To let every send finish, set worker.drain: 2m,');
});

test('doctor says nothing of it where a stop waits for the longest send', async () => {
  expect((await project(configFor('2m')).call(['doctor'])).stderr).not.toContain('worker.drain');
});
