/** The configuration of a connector that sends through a fake Graph. */
import type { FakeGraph } from './fake-graph.ts';

/** The keys of a connector's `graph` section. */
export function graphSection(fake: FakeGraph): Readonly<Record<string, unknown>> {
  return {
    tenantId: fake.tenantId,
    clientId: fake.app.clientId,
    credential: { clientSecret: fake.app.clientSecret },
    graphBaseUrl: fake.graphBaseUrl,
    authorityHost: fake.authorityHost,
    tls: { ca: fake.ca },
  };
}
