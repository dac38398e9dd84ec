/** The data of a message: kept while it arrives, judged at its end, and given back in any case. */
import { createHash } from 'node:crypto';
import type { SMTPServerAddress, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { parseAddress } from '../message/address.ts';
import type { MessageLimits } from '../message/message.ts';
import type { Accept, Verdict } from './accept.ts';
import type { Client, Clients } from './clients.ts';
import { createCollector, type ByteBudget, type Collector } from './collector.ts';
import type { SubmissionEvent } from './events.ts';
import { asReplyError, refusal, type Refusal } from './replies.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Sender } from './sender.ts';

export interface DataOptions {
  readonly hostname: string;
  readonly limits: () => MessageLimits;
  readonly clients: Pick<Clients, 'get' | 'dismiss'>;
  readonly budget: ByteBudget;
  readonly accept: Accept;
  readonly draining: () => boolean;
  readonly onEvent: (event: SubmissionEvent, trace?: TraceIds | null) => void;
  /** In ms. */
  readonly monotonic: () => number;
  readonly senderOf: (client: Client) => Sender | null;
  /** Reports the refusal. → as smtp-server takes it. */
  readonly refuse: (client: Client, refused: Refusal) => Error;
}

/** What a client may send beyond twice the greatest size before it is cut off. */
const maxTailBytes = 64 * 1024;

export function createData(options: DataOptions): NonNullable<SMTPServerOptions['onData']> {
  const { hostname, limits, clients, budget, accept, draining, onEvent, monotonic, senderOf, refuse } = options;

  const judge = (collector: Collector, hash: string, client: Client, sender: Sender, session: SMTPServerSession) => {
    // The limits may have changed while it arrived, and a worker goes by those in force.
    const state = collector.state === 'whole' && collector.bytes > limits().maxBytes ? 'too-large' : collector.state;
    if (state !== 'whole') return { ok: false, refusal: refusal(state) } as const satisfies Verdict;
    const { envelope } = session;
    return accept({
      sender,
      device: client.login === null ? client.address : '',
      mailFrom: envelope.mailFrom === false ? '' : normal(envelope.mailFrom.address),
      recipients: recipientsOf(envelope.rcptTo),
      utf8: envelope.smtpUtf8 === true,
      bytes: collector.take(),
      hash,
      hop: hopOf(session, client, hostname),
    });
  };

  return (stream, session, settle) => {
    const client = clients.get(session.id);
    const sender = client === undefined ? null : senderOf(client);
    if (client === undefined || sender === null) {
      stream.resume();
      return settle(asReplyError(refusal('login-first')));
    }
    const { maxBytes } = limits();
    const collector = createCollector(maxBytes, budget);
    const hash = createHash('sha256');
    const about = { user: sender.name, address: client.address };
    const finish = async (): Promise<void> => {
      const from = monotonic();
      client.phase = 'deciding';
      const { bytes } = collector;
      const recipients = session.envelope.rcptTo.length;
      try {
        const verdict = await judge(collector, hash.digest('hex'), client, sender, session);
        if (!verdict.ok) return settle(refuse(client, verdict.refusal));
        const { id, duplicate, trace = null } = verdict;
        client.commands = 0;
        const durationMs = Math.round(monotonic() - from);
        onEvent({ event: 'submitted', id, ...about, bytes, recipients, duplicate, durationMs }, trace);
        settle(null, `2.0.0 queued as ${id}`);
      } finally {
        collector.drop();
        if (draining()) clients.dismiss(client, 'draining');
      }
    };
    stream.on('data', (chunk: Buffer) => {
      collector.add(chunk);
      if (collector.state === 'whole') hash.update(chunk);
      if (collector.bytes > 2 * maxBytes + maxTailBytes) clients.dismiss(client, 'too-large');
    });
    stream.once('error', () => {
      collector.drop();
      onEvent({ event: 'submission-aborted', ...about, bytes: collector.bytes });
    });
    stream.once('end', () => void finish());
  };
}

/** Of an address that was judged in MAIL or RCPT. */
function normal(address: string): string {
  const parsed = address === '' ? null : parseAddress(address);
  return parsed?.ok === true ? parsed.value : '';
}

function recipientsOf(addresses: readonly SMTPServerAddress[]): string[] {
  return [...new Set(addresses.map(({ address }) => normal(address)))].filter((address) => address !== '');
}

function hopOf(session: SMTPServerSession, { address }: Client, hostname: string) {
  const { tlsOptions: tls, transmissionType, envelope, hostNameAppearsAs } = session;
  return {
    helo: hostNameAppearsAs,
    address,
    hostname,
    protocol: envelope.smtpUtf8 === true ? transmissionType.replace(/^E?SMTP/, 'UTF8SMTP') : transmissionType,
    tls: tls === false ? null : { version: tls.version, cipher: tls.standardName ?? tls.name },
  };
}
