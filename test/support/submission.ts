/** Submission within a test: a real listener over the Redis of the run, what it reports, and what is in the queue. */
import { onTestFinished } from 'vitest';
import { openData } from '../../src/queue/jobs.ts';
import { createSealing } from '../../src/sealing/sealing.ts';
import { openSubmissionStore, type SubmissionStore } from '../../src/admin/submissions.ts';
import type { Config } from '../../src/config/config.ts';
import { createSubmitter, type Submitter } from '../../src/producer/producer.ts';
import { hashPassword } from '../../src/submission/password.ts';
import { createSubmission, type Submission, type SubmissionEvent } from '../../src/submission/submission.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { goodConfig } from '../config/load-text.ts';
import { encryptionLines, redisUrl, shardCount, testConnection, testPrefix } from './redis.ts';
import { openSession, type SmtpSession } from './smtp-session.ts';

export const password = 'correct-horse-battery';

/** Made once for a file: a hash and a certificate take a moment. */
export interface SubmissionKit {
  readonly hash: string;
  readonly certificates: Certificates;
}

export async function submissionKit(): Promise<SubmissionKit> {
  const [hash, certificates] = await Promise.all([hashPassword(password), createCertificates()]);
  return { hash, certificates };
}

export interface StartOptions {
  /** YAML in flow form: listeners. Default: one with STARTTLS, and one for the loopback without a login. */
  readonly listeners?: readonly string[];
  /** YAML in flow form, without the password. Default: `erp` with addresses of its own. */
  readonly users?: readonly string[];
  /** Further lines of `submission`, and of the whole. */
  readonly settings?: readonly string[];
  readonly rest?: readonly string[];
  readonly url?: string;
  readonly timeoutMs?: number;
  readonly prefix?: string;
  /** Instead of the real ones. */
  readonly producer?: Pick<Submitter, 'submit'>;
  readonly monotonic?: () => number;
}

export const starttls = '{ listen: 127.0.0.1:0, security: starttls, tls: { cert: tls.crt, key: tls.key } }';
export const implicit = '{ listen: 127.0.0.1:0, security: tls, tls: { cert: tls.crt, key: tls.key } }';
export const open = '{ listen: 127.0.0.1:0, security: none, networks: [127.0.0.0/8], from: ["*@example.com"] }';

export interface TestSubmission {
  readonly submission: Submission;
  readonly store: SubmissionStore;
  readonly events: SubmissionEvent[];
  readonly prefix: string;
  readonly config: Config;
  of<Name extends SubmissionEvent['event']>(name: Name): Extract<SubmissionEvent, { event: Name }>[];
  /** Of the listeners, in their order. */
  readonly ports: readonly number[];
  /** A session that has read the greeting and said EHLO; with STARTTLS, and logged in, where asked. */
  open(options?: {
    readonly listener?: number;
    readonly tls?: boolean;
    readonly user?: string;
    readonly localAddress?: string;
  }): Promise<SmtpSession>;
  /** The messages in the intake, as producers wrote them. */
  queued(): Promise<QueuedMessage[]>;
}

export interface QueuedMessage {
  readonly id: string;
  readonly from?: { readonly address: string };
  readonly raw:
    | { readonly content: string; readonly encoding: 'utf8' | 'base64' }
    | { readonly ref: string; readonly size: number };
  readonly envelope: { readonly from?: string; readonly to: readonly string[] };
  readonly priority: string;
  readonly sendAt?: string;
  readonly expiresAt?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

async function configOf(kit: SubmissionKit, options: StartOptions, prefix: string): Promise<Config> {
  const { listeners = [starttls, open], settings = [], rest = [] } = options;
  const { users = ['user: erp, from: [erp@example.com, "*@billing.example.com"]'] } = options;
  const text = [
    `redis: { url: "${options.url ?? redisUrl()}", prefix: "${prefix}", shards: ${shardCount()} }`,
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'connectors:',
    '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 1, security: none } }',
    'submission:',
    '  listeners:',
    ...listeners.map((each) => `    - ${each}`),
    ...(users.length === 0 ? [] : ['  users:']),
    ...users.map((each) => `    - { ${each}, password: "${kit.hash}" }`),
    ...settings.map((each) => `  ${each}`),
    ...rest,
    ...encryptionLines(),
    '',
  ].join('\n');
  const { server, ca } = kit.certificates;
  const files = {
    '/etc/postlane/tls.crt': server.cert,
    '/etc/postlane/tls.key': server.key,
    '/etc/postlane/ca.pem': ca,
  };
  return goodConfig(text, { files });
}

/** Stopped when the test ends. */
export async function startSubmission(kit: SubmissionKit, options: StartOptions = {}): Promise<TestSubmission> {
  const prefix = options.prefix ?? testPrefix();
  const config = await configOf(kit, options, prefix);
  const { timeoutMs = 20_000 } = options;
  const { acknowledgeReplicas: replicas } = config.submission;
  const real = createSubmitter({
    redis: config.redis,
    message: config.message,
    timeoutMs,
    encryption: config.encryption,
    ...(replicas === 0 ? {} : { acknowledge: { replicas, timeoutMs: 500 } }),
  });
  const store = openSubmissionStore({ redis: config.redis, timeoutMs, encryption: config.encryption });
  const events: SubmissionEvent[] = [];
  const { producer = real, monotonic } = options;
  const submission = createSubmission({
    config,
    producer,
    store,
    onEvent: (event) => events.push(event),
    ...(monotonic === undefined ? {} : { monotonic }),
  });
  onTestFinished(async () => {
    await submission.drain(0);
    await real.close();
    store.close();
  });
  await submission.start();
  const of: TestSubmission['of'] = (name) => events.filter((event): event is never => event.event === name);
  const ports = of('smtp-listening').map(({ port }) => port);
  const redis = testConnection(options.url === undefined ? {} : {});
  if (options.url === undefined) await readyStore(store);
  const { ca } = kit.certificates;
  return {
    submission,
    store,
    events,
    prefix,
    config,
    of,
    ports,

    async open({ listener = 0, tls = false, user, localAddress } = {}) {
      const settings = config.submission.listeners[listener]!;
      const isTls = settings.security === 'tls';
      const session = await openSession({
        port: ports[listener]!,
        ...(isTls ? { tls: { ca } } : {}),
        ...(localAddress === undefined ? {} : { localAddress }),
      });
      await session.reply();
      await session.say('EHLO client.example.com');
      if (!isTls && (tls || user !== undefined)) {
        await session.say('STARTTLS');
        await session.startTls({ ca });
        await session.say('EHLO client.example.com');
      }
      if (user !== undefined) await session.login(user, password);
      return session;
    },

    async queued() {
      const keys = await redis.keys(`${prefix}:outbound:*`);
      const datas = await Promise.all(
        keys.map(async (key) => ((await redis.type(key)) === 'hash' ? redis.hget(key, 'data') : null)),
      );
      const sealing = createSealing(config.encryption);
      return datas.flatMap((data) => {
        const job = JSON.parse(data ?? 'null') as { message: QueuedMessage } | null;
        if (job === null) return [];
        const opened = openData(job, job.message.id, sealing);
        return opened.kind === 'open' ? [(opened.data as typeof job).message] : [];
      });
    },
  };
}

async function readyStore(store: SubmissionStore): Promise<void> {
  // Any call waits until the connection is there.
  await store.report();
}

/** The mail of a queued message, where it is small. */
export function mailIn({ raw }: QueuedMessage): string {
  if ('ref' in raw) throw new Error('it is stored by its hash');
  return Buffer.from(raw.content, raw.encoding).toString('latin1');
}
