/** A fake Graph and a transport that sends through it, for one test. */
import { onTestFinished } from 'vitest';
import { startFakeGraph, type FakeGraph, type FakeGraphOptions } from '../../testkit/graph/fake-graph.ts';
import { createGraphTransport } from '../../src/transport/graph/graph.ts';
import type { Content, Message } from '../../src/message/message.ts';
import { graphTimeouts, type GraphSettings } from '../../src/transport/graph/settings.ts';
import type { OutgoingMail, SendContext, Transport } from '../../src/transport/transport.ts';

export interface GraphPair {
  readonly graph: FakeGraph;
  readonly transport: Transport;
}

export interface GraphPairOptions extends FakeGraphOptions {
  readonly settings?: Partial<GraphSettings>;
  readonly maxConnections?: number;
  readonly addresses?: readonly string[];
  /** Clock of the transport. */
  readonly clock?: () => number;
}

export async function graphPair(options: GraphPairOptions = {}): Promise<GraphPair> {
  const { settings, maxConnections = 4, addresses = ['sales@example.com'], clock, ...fake } = options;
  const graph = await startFakeGraph(fake);
  const transport = createGraphTransport({
    settings: { ...settingsFor(graph), ...settings },
    maxConnections,
    addresses,
    // A resumed upload waits between its tries, which would only slow the tests down.
    sleep: () => Promise.resolve(),
    ...(clock === undefined ? {} : { now: clock }),
  });
  onTestFinished(async () => {
    await transport.close();
    await graph.stop();
  });
  return { graph, transport };
}

export function settingsFor(graph: FakeGraph): GraphSettings {
  return {
    tenantId: graph.tenantId,
    clientId: graph.app.clientId,
    credential: { kind: 'clientSecret', clientSecret: graph.app.clientSecret ?? '' },
    cloud: { graphBaseUrl: graph.graphBaseUrl, authorityHost: graph.authorityHost },
    mailbox: null,
    saveToSentItems: true,
    tls: { ca: graph.ca },
    timeouts: { ...graphTimeouts, tokenMs: 60_000, requestMs: 60_000 },
  };
}

export const freely: SendContext = { signal: new AbortController().signal, fence: () => Promise.resolve(true) };

/** A finished mail from sales@example.com with these header lines before its body. */
export function mailTo(to: readonly string[], lines: readonly string[] = [], body = 'hello\r\n'): OutgoingMail {
  const header = ['From: Sales <sales@example.com>', 'Message-ID: <mail-1@example.com>', ...lines];
  return {
    id: 'mail-1',
    envelope: { from: 'sales@example.com', to },
    bytes: Buffer.from(`${header.join('\r\n')}\r\n\r\n${body}`),
  };
}

export type LargeMail = OutgoingMail & {
  readonly structured: NonNullable<OutgoingMail['structured']>;
  readonly contents: readonly Buffer[];
};

/** A message with attachments of these sizes, to one recipient in To and one in Bcc; large whatever the sizes say. */
export function largeMail(sizes: readonly number[]): LargeMail {
  const contents = sizes.map((size, at) => Buffer.alloc(size, `attachment ${at} `));
  const attachments = contents.map((bytes, at) => ({
    ref: String(at),
    size: bytes.length,
    filename: `file-${at}.bin`,
    disposition: 'attachment' as const,
  }));
  const message: Message = {
    from: { name: 'Sales', address: 'sales@example.com' },
    to: [{ name: 'A', address: 'a@example.net' }],
    cc: [],
    bcc: [{ address: 'hidden@example.net' }],
    replyTo: [],
    subject: 'large',
    html: '<p>large</p>',
    attachments,
    headers: {},
    references: [],
    envelope: { to: ['a@example.net', 'hidden@example.net'] },
    priority: 'normal',
  };
  const contentOf = (content: Content): Buffer =>
    contents['ref' in content ? Number(content.ref) : 0] ?? Buffer.alloc(0);
  const rangeOf = (content: Content, start: number, end: number): Buffer => contentOf(content).subarray(start, end);
  // Only the size and the header of the bytes count where parts are sent.
  const { bytes } = mailTo([], ['To: A <a@example.net>'], 'x'.repeat(2_400_000));
  return { id: 'large', envelope: message.envelope, bytes, structured: { message, contentOf, rangeOf }, contents };
}
