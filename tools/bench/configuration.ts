/** A configuration for a benchmark process, from the text of a file that is not there. */
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';

/** `more`: YAML, beside a connector that no row sends through. */
export async function configurationOf(redisUrl: string, more: string): Promise<Config> {
  const file = `
redis: { url: "${redisUrl}" }
hostname: bench.test
systemDefaultGateway: relay
connectors: { relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } } }
${more}
`;
  const loaded = await loadConfig({
    env: {},
    cwd: '/',
    file: '/bench.yaml',
    readFile: async () => ({ ok: true, bytes: Buffer.from(file) }),
  });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues));
  return loaded.config;
}
