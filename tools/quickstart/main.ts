/**
 * The quick start: sets up everything on this machine, sends the example set through it, and checks what arrived.
 * Ends with 0 only if every check holds.
 */
import { createDisposables } from '../../testkit/disposables.ts';
import { createProducer, type MessageStatus, type Producer } from '../../src/producer/producer.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import type { DeadLetterSummary } from '../../src/queue/ledger/dead-letters.ts';
import { openOperator } from '../../src/admin/operator.ts';
import { terminalStates } from '../../src/queue/ledger/ledger.ts';
import type { Evidence, Sent } from './evidence.ts';
import { exampleSet, type Example } from './messages.ts';
import { loginLink } from './link.ts';
import { readOptions, usage, type QuickstartOptions } from './options.ts';
import { checkLines, createScreen, deliveryTable, type Screen } from './report.ts';
import { startAll, type Setup } from './setup.ts';
import { tryNext } from './try-next.ts';
import { verify } from './verify.ts';

/** Longer than a slow machine takes; messages that are not settled by then are reported as they stand. */
const settleTimeoutMs = (count: number): number => 45_000 + count * 50;
/** How far ahead `sendAt` is, for the messages that have one. */
const laterMs = 2_000;
const batchSize = 100;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: QuickstartOptions | null;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (options === null) {
    process.stdout.write(usage);
    return 0;
  }
  return run(options, createScreen(process.stdout));
}

async function run(options: QuickstartOptions, screen: Screen): Promise<number> {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => stop.abort(new Error(`stopped by ${signal}`));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);

  const started = createDisposables();
  let outcome: 'good' | 'bad' | 'stopped' = 'bad';
  try {
    screen.line('Setting up');
    const setup = await startAll(started, screen, () => outcome === 'bad');
    stop.signal.throwIfAborted();
    outcome = (await sendAndVerify(options, setup, screen, stop.signal)) ? 'good' : 'bad';
    if (options.keep) await keepOpen(setup, screen, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) outcome = 'stopped';
    screen.line(error instanceof Error ? error.message : String(error));
  }
  const failures = await started.close();
  for (const failure of failures) screen.line(`At the end, ${failure}`);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  return outcome === 'good' && failures.length === 0 ? 0 : 1;
}

/** Sends the example set, waits, prints and checks. → whether all checks hold. */
async function sendAndVerify(
  options: QuickstartOptions,
  setup: Setup,
  screen: Screen,
  signal: AbortSignal,
): Promise<boolean> {
  const startedAt = Date.now();
  const producer = createProducer({ redis: setup.redis });
  try {
    screen.line(`\nSending ${options.count} messages`);
    const set = exampleSet(options.count, new Date(Date.now() + laterMs));
    const sent = await sendAll(set, producer, screen, signal);
    const statuses = await untilSettled(sent, { producer, setup, screen, signal });
    const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
    screen.line(`${sent.length} messages, ${setup.servers.received.length} deliveries, ${seconds} s\n`);
    for (const line of deliveryTable(sent, statuses)) screen.line(line);

    screen.line('\nWhat the servers have, against what was sent');
    const { plans, servers } = setup;
    const evidence: Evidence = { plans, sent, received: servers.received, statuses, dead: await deadLetters(setup) };
    const checks = await verify(evidence);
    for (const line of checkLines(checks)) screen.line(line);
    const failed = checks.filter(({ problems }) => problems.length > 0).length;
    const made = checks.filter(({ looked }) => looked > 0).length;
    screen.line(failed === 0 ? `\nAll ${made} checks hold.` : `\n${failed} of ${made} checks fail.`);
    return failed === 0;
  } finally {
    await producer.close();
  }
}

async function sendAll(
  set: readonly Example[],
  producer: Producer,
  screen: Screen,
  signal: AbortSignal,
): Promise<Sent[]> {
  const sent: Sent[] = [];
  for (let start = 0; start < set.length; start += batchSize) {
    signal.throwIfAborted();
    const batch = set.slice(start, start + batchSize);
    sent.push(...(await Promise.all(batch.map((example) => sendOne(example, producer)))));
    screen.progress(`  enqueued ${sent.length} of ${set.length}`);
  }
  return sent;
}

async function sendOne(example: Example, producer: Producer): Promise<Sent> {
  const before = Date.now();
  const { id } = await producer.send(example.mail);
  const after = Date.now();
  const again = example.again ? await producer.send({ ...example.mail, id }) : null;
  return { example, id, before, after, duplicate: again?.duplicate ?? null };
}

interface Waiting {
  readonly producer: Producer;
  readonly setup: Setup;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

/** Reads the ledger until every message is settled, or the time is up. → what the ledger says. */
async function untilSettled(
  sent: readonly Sent[],
  { producer, setup, screen, signal }: Waiting,
): Promise<Map<string, MessageStatus>> {
  const statuses = new Map<string, MessageStatus>();
  const deadline = Date.now() + settleTimeoutMs(sent.length);
  let workerEnded = false;
  void setup.worker.ended.then(() => (workerEnded = true));
  for (;;) {
    signal.throwIfAborted();
    if (workerEnded) throw new Error('The worker ended before the messages were settled.');
    const open = sent.filter(({ id }) => !isSettled(statuses.get(id)));
    if (open.length === 0 || Date.now() > deadline) return statuses;
    for (let start = 0; start < open.length; start += batchSize) {
      const page = await Promise.all(open.slice(start, start + batchSize).map(({ id }) => producer.status(id)));
      for (const status of page) if (status !== null) statuses.set(status.id, status);
    }
    const settled = [...statuses.values()].filter(isSettled).length;
    const waiting = [...statuses.values()].filter(({ state }) => state === 'deferred' || state === 'scheduled').length;
    screen.progress(`  settled ${settled} of ${sent.length}, ${waiting} waiting for their time`);
    await pause(150, signal);
  }
}

function isSettled(status: MessageStatus | undefined): boolean {
  return status !== undefined && terminalStates.has(status.state);
}

async function deadLetters({ redis }: Setup): Promise<DeadLetterSummary[]> {
  const operator = await openOperator({ redis, timeoutMs: 5_000, limits: defaultMessageLimits });
  try {
    const letters: DeadLetterSummary[] = [];
    for await (const letter of operator.deadLetters.list({})) letters.push(letter);
    return letters;
  } finally {
    operator.close();
  }
}

async function keepOpen(setup: Setup, screen: Screen, signal: AbortSignal): Promise<void> {
  for (const line of tryNext(setup, await loginLink(setup, Date.now()))) screen.line(line);
  const end = new AbortController();
  await Promise.race([setup.worker.ended, pause(2 ** 31 - 1, AbortSignal.any([signal, end.signal]))]);
  end.abort();
  screen.line(signal.aborted ? 'Stopping' : 'The worker has ended; stopping');
}

/** Ends early, without an error, when told to stop. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
