/** Serves the HTTP API as `postlane serve` does, for one token, with its log written to nowhere. */
import { createHash } from 'node:crypto';
import { openOperator } from '../../src/admin/operator.ts';
import { startHttp } from '../../src/http/http.ts';
import { createLog } from '../../src/observability/log.ts';
import { createSubmitter } from '../../src/producer/producer.ts';
import { configurationOf } from './configuration.ts';
import { answer, settingsOf } from './program.ts';

const { redisUrl, token } = await settingsOf<{ redisUrl: string; token: string }>();
const sha256 = createHash('sha256').update(token).digest('hex');
const config = await configurationOf(
  redisUrl,
  `api: { listen: 127.0.0.1:0, tokens: [{ id: bench, sha256: ${sha256}, scopes: [admin] }] }`,
);
const operator = await openOperator({ redis: config.redis, timeoutMs: 5_000, limits: config.message });
const log = createLog({ worker: 'bench', level: 'info', destination: { write: () => undefined } });
const server = await startHttp({
  tools: {
    producer: createSubmitter({ redis: config.redis }),
    operator: async () => operator,
    tryConnector: () => Promise.reject(new Error('no connector is tried here')),
    testWebhook: () => Promise.reject(new Error('no webhook is tried here')),
    config: () => config,
    configState: () => ({ appliedAt: 0, rejectedAt: null, mistakes: 0 }),
    now: Date.now,
  },
  health: { health: () => ({ ok: true, live: true, redis: 'ready', idleForMs: 0 }), ready: () => true },
  tell: log,
});

answer({
  port: () => ({ port: server.port }),
  memory: () => {
    globalThis.gc?.();
    return { mb: process.memoryUsage().rss / 1e6 };
  },
});
