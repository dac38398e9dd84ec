/** The `bounces` key of a connector: which mailboxes it means, and what it may not be combined with. */
import type { IncomingSettings, ReportMailbox } from './config.ts';
import { buildGraph } from './graph.ts';
import type { Path, Problem } from './issues.ts';
import type { ProxyRoute } from '../transport/proxy.ts';
import type { ConnectorFile } from './schema.ts';

/** `incoming` if it is written; otherwise the mailboxes that Graph sends from. */
export function buildBounces(
  file: ConnectorFile,
  incoming: IncomingSettings | null,
  addresses: readonly string[],
  route: ProxyRoute | null,
): ReportMailbox[] {
  if (!file.bounces) return [];
  if (incoming !== null) {
    const { protocol, ...login } = incoming;
    return protocol === 'imap' ? [{ protocol, login }] : [];
  }
  if (file.graph === undefined) return [];
  const graph = buildGraph(file.graph, route);
  const mailboxes = graph.mailbox === null ? addresses.filter(isMailbox) : [graph.mailbox];
  return mailboxes.map((address) => ({ protocol: 'graph', graph, address }));
}

/** One of the requests that Graph takes at once for a mailbox is left to the reading of reports. */
export function takesRequests(file: ConnectorFile): boolean {
  return file.bounces && file.incoming === undefined && file.graph !== undefined;
}

/** Of a connector with `bounces: true`, as far as it could be read. */
export function bouncesProblems(
  connector: Readonly<Record<string, unknown>>,
  patterns: readonly string[],
  path: Path,
): Problem[] {
  if (connector['bounces'] !== true) return [];
  const message = whyUnreadable(connector, patterns);
  return message === null ? [] : [{ path: [...path, 'bounces'], rule: 'bounces-mailbox', message, on: 'value' }];
}

function whyUnreadable(connector: Readonly<Record<string, unknown>>, patterns: readonly string[]): string | null {
  const { incoming, graph } = connector;
  if (incoming !== undefined) {
    return keyOf(incoming, 'protocol') === 'pop3'
      ? 'is true, but reports are not read by POP3; set incoming.protocol to imap'
      : null;
  }
  if (graph === undefined) {
    return 'is true, but there is no mailbox to read; add incoming with protocol imap, or graph';
  }
  const isNamed = keyOf(graph, 'mailbox') !== undefined || patterns.some(isMailbox);
  return isNamed
    ? null
    : 'is true, but neither an address nor graph.mailbox names a mailbox to read; give each mailbox a connector with direction: incoming';
}

/** undefined for what is no map, which the schema tells. */
function keyOf(section: unknown, key: string): unknown {
  return typeof section === 'object' && section !== null ? Reflect.get(section, key) : undefined;
}

function isMailbox(pattern: string): boolean {
  return !pattern.startsWith('*');
}
