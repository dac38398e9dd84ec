/** Owns a scripted SMTP server together with a configuration whose default gateway it is. */
import { onTestFinished } from 'vitest';
import { encryptionLines, shardCount } from './redis.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../testkit/smtp/server.ts';

export interface TestServer extends SmtpServer {
  /** YAML with the connector `relay` (this server, every From); `others` are further connectors, id → YAML in flow form. */
  config(prefix: string, others?: Readonly<Record<string, string>>, rest?: readonly string[]): string;
}

/** Stopped when the test ends. */
export async function startTestServer(options: SmtpServerOptions = {}): Promise<TestServer> {
  const server = await startSmtpServer(options);
  onTestFinished(() => server.stop());
  return {
    ...server,
    config: (prefix, others = {}, rest = []) =>
      [
        `redis: { prefix: "${prefix}", shards: ${shardCount()} }`,
        'hostname: mail.example.com',
        'systemDefaultGateway: relay',
        'unmonitoredAddress: no-reply@example.com',
        'connectors:',
        `  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: ${server.port}, security: none } }`,
        ...Object.entries(others).map(([id, text]) => `  ${id}: ${text}`),
        ...rest,
        ...encryptionLines(),
        '',
      ].join('\n'),
  };
}

/** YAML of a configuration with a gateway that is not there, over the Redis of this flow map. */
export function cliConfigOver(redis: string): string {
  return [
    `redis: ${redis}`,
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'connectors:',
    '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }',
    '',
  ].join('\n');
}
