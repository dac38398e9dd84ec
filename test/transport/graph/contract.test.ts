/** The Graph transport keeps the contract, against the fake. */
import { describe, test } from 'vitest';
import { transportContract, type ContractScene } from '../../../src/testing.ts';
import { faults } from '../../../testkit/graph/faults.ts';
import type { Step } from '../../../testkit/graph/script.ts';
import { graphPair } from '../../support/graph-client.ts';

/** Graph takes or refuses a message as a whole, so it cannot refuse one recipient of several. */
const scripts: Readonly<Record<Exclude<ContractScene, 'unreachable' | 'second-refused'>, Step | null>> = {
  accepts: null,
  'refuses-all': faults.graph(400, 'ErrorInvalidRecipients'),
  'not-now': faults.internal('ErrorMailboxMoveInProgress'),
  'silent-after-body': faults.gatewayTimeout(),
};

transportContract(
  'graph',
  async (scene) => {
    const { graph, transport } = await graphPair({ domains: ['example.com'] });
    if (scene === 'unreachable') await graph.stop();
    else graph.script('sendMail', () => scripts[scene as keyof typeof scripts] as never);
    // `check` sends a message without recipients, which Graph refuses.
    const begun = (): number =>
      graph.requests.filter(({ operation, body }) => operation === 'sendMail' && !body.includes('"toRecipients":[]'))
        .length;
    return { transport, begun };
  },
  { harness: { describe, test }, unsupported: ['second-refused'] },
);
