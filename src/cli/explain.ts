/** `explain FROM`: which connector would send for a From address, by which rule, and why not the others. */
import type { Command } from 'commander';
import { parseMailbox } from '../message/address.ts';
import type { ConnectorLimits, RouteRule } from '../routing/connector.ts';
import { explainRoute } from '../routing/fallback.ts';
import { buildRouteTable } from '../routing/table.ts';
import { sendingJson, sendingOf, wayText } from '../transport/proxy.ts';
import { printable } from '../errors.ts';
import type { Action } from './command.ts';
import { requireConfig } from './compose.ts';
import { noteDelivery } from './delivery.ts';
import { UsageError } from './failure.ts';
import { ago } from './terminal.ts';

const because: Readonly<Record<RouteRule, string>> = {
  exact: 'it has this address',
  domain: 'its pattern matches the domain',
  default: 'no other connector matches, and it is the system default gateway',
  none: '',
};

function limitsWords(limits: ConnectorLimits): string {
  const { concurrency, messagesPerMinute: pace, group = null } = limits;
  const words = [`${concurrency} at once`, ...(pace === null ? [] : [`${pace}/min`]), ...countedWords(limits)];
  if (group === null) return words.join(', ');
  const ofGroup = [
    ...(group.messagesPerMinute === null ? [] : [`${group.messagesPerMinute}/min`]),
    ...countedWords(group),
  ];
  return `${words.join(', ')}; with all of the group ${group.id}: ${ofGroup.join(', ')}`;
}

function countedWords({
  recipientsPerDay: day = null,
  bytesPerWindow: window = null,
}: Pick<ConnectorLimits, 'recipientsPerDay' | 'bytesPerWindow'>): string[] {
  return [
    ...(day === null ? [] : [`${day} recipients/day`]),
    ...(window === null ? [] : [`${window.bytes} bytes/${ago(window.windowMs)}`]),
  ];
}

function sendingLines(sending: ReturnType<typeof sendingJson>): string[] {
  const { server, localAddress, dkim, credentialExpiresAt: ends } = sending;
  const from = localAddress === null ? '' : `, from ${localAddress}`;
  const way = wayText(sending);
  return [
    ...(server === null ? [] : [`  by ${server}${from}`]),
    ...(way === null ? [] : [`  it goes through the proxy ${way}.`]),
    ...(dkim === null ? [] : [`  signed with DKIM by ${dkim.domain} (selector ${dkim.selector})`]),
    ...(ends === null ? [] : [`  its credential ends ${ends}`]),
  ];
}

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
        const route = explainRoute(
          buildRouteTable(config.connectors, config.systemDefaultGateway),
          config.connectors,
          parsed.value.address,
        );
        const { connector, rule, passedOver } = route;
        const chosen = config.connectors.find(({ id }) => id === connector);
        const limits = chosen?.limits ?? null;
        const { fallbackAtOnce: faults } = route;
        const atOnce = faults.length === 0 ? '' : `, or at once if the fault is ${faults.join(' or ')}`;
        const sending = sendingJson(sendingOf(chosen ?? null));
        call.terminal.result({ ...route, limits, ...sending }, () => [
          connector === null
            ? `No connector sends for ${route.from}: none matches, and systemDefaultGateway is disabled. A message would become a dead letter (no-route).`
            : `${call.terminal.bold(connector)} sends for ${route.from}: ${because[rule]} (rule ${rule}).`,
          ...route.fallback.map(({ connector: id, maySend }) =>
            maySend
              ? `  while it is at fault for more than ${ago(route.fallbackAfterMs ?? 0)}${atOnce}: ${id}`
              : `  never by its fallback ${id}, which may not send for this address`,
          ),
          ...passedOver.map((over) => `  not ${over.connector}: it ${over.why}`),
          ...sendingLines(sending),
          ...(limits === null ? [] : [`  limits: ${limitsWords(limits)}`]),
        ]);
        noteDelivery(config, call.terminal);
        return 0;
      }),
    );
}
