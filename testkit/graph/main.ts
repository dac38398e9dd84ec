/** The fake as a program: prints the configuration to paste, then a line for every message that it takes, until Ctrl-C. */
import { parseArgs } from 'node:util';
import { startFakeGraph, type FakeGraph } from './fake-graph.ts';
import type { Delivery } from './outbox.ts';

const usage = `npm run fake-graph [-- OPTION…]

Serves a Microsoft Graph and Entra of your own on this machine, and prints the connector that sends through it. Messages are
kept in memory and go nowhere.

  --domain NAME     every address of the domain has a mailbox; may be repeated (default example.com)
  --port N          port on 127.0.0.1 (default: any that is free)
  --help            this text
`;

interface Options {
  readonly domains: readonly string[];
  readonly port: number;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options | null;
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
  const ended = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
  let graph: FakeGraph;
  try {
    graph = await startFakeGraph({
      ...options,
      mailboxes: [],
      onAccepted: (copies) => process.stdout.write(lineOf(copies)),
    });
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 1;
  }
  process.stdout.write(configurationOf(graph, options.domains));
  await ended;
  await graph.stop();
  return 0;
}

/** null asks for the usage text. @throws Error with a sentence for the user. */
function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      domain: { type: 'string', multiple: true, default: ['example.com'] },
      port: { type: 'string', default: '0' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const wrong = values.domain.find((domain) => !/^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(domain));
  if (wrong !== undefined) throw new Error(`--domain: "${wrong}" is no domain`);
  return { domains: values.domain, port: portOf(values.port) };
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`"${text}" is no port`);
  return port;
}

/** YAML; the lines that come later are comments in it, so that all of the output can go to a file. */
function configurationOf(graph: FakeGraph, domains: readonly string[]): string {
  const { graphBaseUrl, authorityHost, tenantId, app, ca } = graph;
  const certificate = ca.trim().split(/\r?\n/);
  return `# A fake Microsoft Graph at ${graphBaseUrl}, until Ctrl-C. For postlane.yaml:
connectors:
  fake-graph:
    addresses: [${domains.map((domain) => `"*@${domain}"`).join(', ')}]
    direction: outgoing
    graph:
      tenantId: ${tenantId}
      clientId: ${app.clientId}
      credential: { clientSecret: ${app.clientSecret} }
      graphBaseUrl: ${graphBaseUrl}
      authorityHost: ${authorityHost}
      tls:
        ca: |
${certificate.map((line) => `          ${line}`).join('\n')}
# Messages as they come:
`;
}

function lineOf(copies: readonly Delivery[]): string {
  const [first] = copies;
  if (first === undefined) return '';
  const { mailbox, message } = first;
  const recipients = copies.map(({ recipient, as }) => (as === 'to' ? recipient : `${as} ${recipient}`)).join(', ');
  const text = `${new Date(first.at).toISOString()} ${mailbox} → ${recipients}: ${message.subject}`;
  // The subject is foreign text: it must not control the terminal.
  return `# ${text.replaceAll(/\p{C}/gu, ' ')}\n`;
}
