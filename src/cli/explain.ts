/** `explain FROM`: which connector would send for a From address, by which rule, and why not the others. */
import type { Command } from 'commander';
import { parseMailbox } from '../message/address.ts';
import type { RouteRule } from '../routing/connector.ts';
import { explain } from '../routing/resolve.ts';
import { buildRouteTable } from '../routing/table.ts';
import { printable } from '../errors.ts';
import type { Action } from './command.ts';
import { requireConfig } from './compose.ts';
import { noteDelivery } from './delivery.ts';
import { UsageError } from './failure.ts';

const because: Readonly<Record<RouteRule, string>> = {
  exact: 'it has this address',
  domain: 'its pattern matches the domain',
  default: 'no other connector matches, and it is the system default gateway',
  none: '',
};

export function addExplain(program: Command, action: Action): void {
  program
    .command('explain')
    .argument('<from>', 'From address, with or without a display name')
    .description('show which connector would send for a From address, and why')
    .action(
      action(async (call, _options, [from = '']) => {
        const { config } = await requireConfig(call, call.configFile);
        const parsed = parseMailbox(from);
        if (!parsed.ok) throw new UsageError(`"${printable(from, 80)}" ${parsed.problem}`);
        const route = explain(buildRouteTable(config.connectors, config.systemDefaultGateway), parsed.value.address);
        const { connector, rule, passedOver } = route;
        call.terminal.result(route, () => [
          connector === null
            ? `No connector sends for ${route.from}: none matches, and systemDefaultGateway is disabled. A message would become a dead letter (no-route).`
            : `${call.terminal.bold(connector)} sends for ${route.from}: ${because[rule]} (rule ${rule}).`,
          ...passedOver.map((over) => `  not ${over.connector}: it ${over.why}`),
        ]);
        noteDelivery(config, call.terminal);
        return 0;
      }),
    );
}
