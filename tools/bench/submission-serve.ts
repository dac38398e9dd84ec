/** Takes mail by SMTP as `postlane smtp` does, with its log written to nowhere. */
import { openSubmission } from '../../src/cli/submission.ts';
import { createLog, type LogEvent } from '../../src/observability/log.ts';
import { connectorId } from './mail.ts';
import { configurationOf } from './configuration.ts';
import { answer, settingsOf } from './program.ts';

const { redisUrl } = await settingsOf<{ redisUrl: string }>();
const senders = Array.from({ length: 10 }, (_, nth) => `"*@${connectorId(nth)}.bench.test"`).join(', ');
const config = await configurationOf(
  redisUrl,
  `submission: { listeners: [{ listen: 127.0.0.1:0, security: none, networks: [127.0.0.0/8], from: [${senders}] }], maxClients: 5000 }`,
);
const log = createLog({ worker: 'bench', level: 'info', destination: { write: () => undefined } });
let port = 0;
const tell = (event: LogEvent): void => {
  log(event);
  if (event.event === 'smtp-listening') port = event.port;
};
const submission = await openSubmission(config, tell);
await submission.start();

answer({
  port: () => ({ port }),
  memory: () => {
    globalThis.gc?.();
    return { mb: process.memoryUsage().rss / 1e6 };
  },
});
