/** `send`: enqueues one message, and with --wait waits for its final state. */
import { basename } from 'node:path';
import { Option, type Command } from 'commander';
import { asError, PostlaneError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { Message } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import type { MessageStatus, Producer, SendResult } from '../producer/producer.ts';
import { sends } from '../routing/connector.ts';
import { resolve as resolveRoute } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import type { Action, Call } from './command.ts';
import { openOperator, openProducer, requireConfig, requireConnector } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { createFileReader, withoutMboxLine } from './files.ts';
import { statusJson, statusLines } from './status.ts';
import { collect, durationOption, parseFuture, parseHeader } from './values.ts';

interface SendOptions {
  readonly from?: string;
  readonly sender?: string;
  readonly to?: readonly string[];
  readonly cc?: readonly string[];
  readonly bcc?: readonly string[];
  readonly replyTo?: readonly string[];
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly calendar?: string;
  readonly attach?: readonly string[];
  readonly header?: readonly string[];
  readonly eml?: string;
  readonly id?: string;
  readonly via?: string;
  readonly priority?: 'high' | 'normal' | 'low';
  readonly sendAt?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

const many = '(repeatable, or separated by commas)';

export function addSend(program: Command, action: Action): void {
  program
    .command('send')
    .description('enqueue a message for the workers to send')
    .option('--from <address>', 'From address (default: the unmonitored address of the configuration)')
    .option('--sender <address>', 'who sends it in the name of the From address')
    .option('--to <address>', `recipient ${many}`, collect)
    .option('--cc <address>', `recipient of a copy ${many}`, collect)
    .option('--bcc <address>', `recipient of a blind copy ${many}`, collect)
    .option('--reply-to <address>', `address for replies ${many}`, collect)
    .option('--subject <text>', 'subject')
    .option('--text <text>', 'body as plain text')
    .option('--html <html>', 'body as HTML')
    .option('--calendar <file>', 'invitation to show with buttons: one iCalendar object with a METHOD')
    .option('--attach <file>', 'file to attach (repeatable)', collect)
    .option('--header <field>', 'additional header field, as "Name: value" (repeatable)', collect)
    .option('--eml <file>', 'complete RFC 5322 message instead of subject, bodies and files; - reads stdin')
    .option('--id <id>', 'id and idempotency key: a second message with the same id is not sent')
    .option('--via <connector>', 'connector to use instead of that of the From address, for a test')
    .addOption(new Option('--priority <priority>', 'priority in the queue').choices(['high', 'normal', 'low']))
    .option('--send-at <time>', 'do not send before this time: ISO 8601 with a time zone, or a duration from now (2h)')
    .option('--wait', 'wait for the final state; exit code 0 only if the message was sent')
    .addOption(durationOption('--timeout <duration>', 'how long --wait waits at most', '60s'))
    .action(action<SendOptions>((call, options) => send(call, options)));
}

async function send(call: Call, options: SendOptions): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  if (options.via !== undefined && !sends(requireConnector(config, options.via).direction)) {
    throw new UsageError(`the connector ${options.via} only receives`);
  }
  const message = await messageOf(call, options, config.message.maxBytes);
  const { parseMessage } = await import('../message/schema.ts');
  const parsed = parseMessage(message, config.message);
  if (parsed.ok) {
    requireSender(parsed.message, config);
    await requireSize(parsed.message, options.via, config);
  }
  const producer = await openProducer(config);
  try {
    const { id, duplicate } = await enqueue(producer, message, options.via, config);
    const wait = options.wait === true;
    const ended = wait ? await settledStatus(producer, id, options.timeout, call) : null;
    const status = ended === null ? await producer.status(id) : ended.status;
    const state = status?.state ?? 'queued';
    call.terminal.result({ ...(wait && status !== null ? statusJson(status) : {}), id, duplicate, state }, () => [
      `${id}  ${state}${duplicate ? '  (this id was enqueued before; nothing new was enqueued)' : ''}`,
      ...(wait && status !== null && state !== 'sent' ? statusLines(status, call.terminal).slice(1) : []),
    ]);
    if (!wait || state === 'sent') return 0;
    if (ended !== null && ended.timeout !== null) throw ended.timeout;
    return 1;
  } finally {
    await producer.close();
    await (await import('../tracing/tracing.ts')).flushTraces();
  }
}

/** A test message through a chosen connector is an operator's act, so the audit has it. */
async function enqueue(
  producer: Producer,
  message: OutboundMessage,
  via: string | undefined,
  config: Config,
): Promise<SendResult> {
  if (via === undefined) return producer.send(message);
  const { shellActor } = await import('./actor.ts');
  const operator = await openOperator(config);
  try {
    return await operator.as(shellActor(), config).sendVia(
      via,
      () => producer.send(message, { via }),
      (sent) => sent,
    );
  } finally {
    operator.close();
  }
}

interface Ended {
  /** null where the wait ended early and Redis cannot be asked. */
  readonly status: MessageStatus | null;
  readonly timeout: PostlaneError | null;
}

/** The status once the message is over or the time is up, so that a wait that was too short still shows how far it is. */
async function settledStatus(producer: Producer, id: string, timeoutMs: number, { terminal }: Call): Promise<Ended> {
  terminal.progress(`${id}  waiting for a worker to send it`);
  try {
    return { status: await producer.waitFor(id, { timeoutMs }), timeout: null };
  } catch (thrown) {
    if (!(thrown instanceof PostlaneError) || thrown.code !== 'timeout') throw thrown;
    return { status: await producer.status(id).catch(() => null), timeout: thrown };
  } finally {
    terminal.progress('');
  }
}

/** A producer knows no connectors, so a worker would dead-letter this message. The command has the configuration. */
function requireSender({ from }: Message, { unmonitoredAddress }: Config): void {
  if (unmonitoredAddress !== null || from !== undefined) return;
  const text = 'the message has no From, and `unmonitoredAddress` is not configured; add --from';
  throw new PostlaneError('message-invalid', text, { issues: [{ field: 'from', rule: 'required', message: text }] });
}

/** The same for a message that the connector which would send it can never send. */
async function requireSize(
  message: Message,
  via: string | undefined,
  { connectors, systemDefaultGateway, unmonitoredAddress }: Config,
): Promise<void> {
  const from = (message.from ?? unmonitoredAddress)?.address ?? '';
  const connector = via ?? resolveRoute(buildRouteTable(connectors, systemDefaultGateway), from).connector;
  const transport = connectors.find(({ id }) => id === connector)?.transport;
  if (transport?.kind !== 'graph') return;
  const { onlyWhole, refusedByGraph } = await import('../transport/graph/large.ts');
  const problem = await refusedByGraph(message);
  if (problem === null) return;
  const field = message.raw === undefined ? (onlyWhole(message) ?? 'attachments') : 'raw';
  const text = `${problem} (connector ${connector})`;
  throw new PostlaneError('message-invalid', text, { issues: [{ field, rule: 'too-large', message: text }] });
}

async function messageOf(call: Call, options: SendOptions, maxBytes: number): Promise<OutboundMessage> {
  const {
    from,
    sender,
    to,
    cc,
    bcc,
    replyTo,
    subject,
    text,
    html,
    calendar,
    attach = [],
    header = [],
    eml,
    id,
    priority,
    sendAt,
  } = options;
  const files = createFileReader(call, maxBytes);
  const attachments: { filename: string; content: Buffer }[] = [];
  for (const file of attach)
    attachments.push({ filename: basename(file), content: await files.read('--attach', file) });
  return {
    ...given('id', id),
    ...given('from', from),
    ...given('sender', sender),
    ...given('to', addresses(to)),
    ...given('cc', addresses(cc)),
    ...given('bcc', addresses(bcc)),
    ...given('replyTo', addresses(replyTo)),
    ...given('subject', subject),
    ...given('text', text),
    ...given('html', html),
    ...given('priority', priority),
    ...(calendar === undefined
      ? {}
      : { calendarEvent: { content: await files.read('--calendar', calendar), filename: basename(calendar) } }),
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(header.length === 0 ? {} : { headers: headersOf(header) }),
    ...(eml === undefined ? {} : { raw: withoutMboxLine(await files.read('--eml', eml)) }),
    ...(sendAt === undefined ? {} : { sendAt: new Date(usage('--send-at', () => parseFuture(sendAt, Date.now()))) }),
  };
}

function given<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value };
}

/** Commas separate, except within quotes or angle brackets: `"Doe, Jane" <jane@example.com>` is one address. */
function addresses(given: readonly string[] | undefined): string[] | undefined {
  return given?.flatMap((text) =>
    (text.match(/(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,])+/g) ?? [''])
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  );
}

/** Several fields of one name keep their order. */
function headersOf(fields: readonly string[]): Record<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const field of fields) {
    const [name, value] = usage('--header', () => parseHeader(field));
    headers.set(name, [...(headers.get(name) ?? []), value]);
  }
  return Object.fromEntries(headers);
}

function usage<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    throw new UsageError(`${option}: ${asError(thrown).message}`);
  }
}
