/** A configuration file for programs that send through a fake Graph: one connector for each mailbox. */
import { onTestFinished } from 'vitest';
import { graphSection } from '../../testkit/graph/configuration.ts';
import { startFakeGraph, type FakeGraph, type FakeGraphOptions } from '../../testkit/graph/fake-graph.ts';

/** Ends with the test. */
export async function fakeGraph(options: FakeGraphOptions = {}): Promise<FakeGraph> {
  const graph = await startFakeGraph(options);
  onTestFinished(() => graph.stop());
  return graph;
}

export interface GraphProject {
  readonly prefix: string;
  /** Addresses; each has a connector named by its local part. Default: `sales@example.com`. */
  readonly mailboxes?: readonly string[];
  /** Further keys of each connector. */
  readonly connector?: Readonly<Record<string, unknown>>;
  /** Further keys of each connector's `graph`. */
  readonly graph?: Readonly<Record<string, unknown>>;
  /** Further keys of the file. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/** The text of a postlane.yaml; JSON is YAML. */
export function graphConfig(fake: FakeGraph, options: GraphProject): string {
  const { prefix, mailboxes = ['sales@example.com'], connector = {}, graph = {}, rest = {} } = options;
  const connectors = mailboxes.map((address) => [
    address.split('@')[0],
    {
      address,
      direction: 'outgoing',
      graph: { ...graphSection(fake), ...graph },
      ...connector,
    },
  ]);
  return JSON.stringify({
    redis: { url: 'redis://127.0.0.1:6379', prefix },
    hostname: 'worker.test',
    systemDefaultGateway: mailboxes[0]?.split('@')[0],
    connectors: Object.fromEntries(connectors) as object,
    ...rest,
  });
}
