/** What `check --connect` prints of the senders of each connector: those that need attention, and what was not tested. */
import type { ConnectorCheck } from '../embed/check-connector.ts';
import { isBad, type SenderRow } from '../embed/senders.ts';
import { printable } from '../errors.ts';
import type { Terminal } from './terminal.ts';

type Bold = Terminal['bold'];
type Shown = SenderRow & { readonly connector: string };

export function senderLines(checks: readonly ConnectorCheck[], { bold }: { readonly bold: Bold }): string[] {
  const reports = checks.flatMap(({ connector, senders }) => (senders === null ? [] : [{ connector, ...senders }]));
  const rows = reports.flatMap(({ connector, tested }) => tested.map((row) => ({ connector, ...row })));
  const shown = rows.filter(({ result }) => result !== 'ok');
  // What a host refuses although another takes it.
  const ofHosts = checks.flatMap(({ connector, hosts }) =>
    hosts.flatMap(({ host, senders }) =>
      (senders?.tested ?? []).filter(isBad).map((row) => ({ ...row, connector: `${connector} at ${host}` })),
    ),
  );
  const several = new Set(checks.filter(({ hosts }) => hosts.length > 0).map(({ connector }) => connector));
  const lines = [...shown.filter((row) => !isBad(row) || !several.has(row.connector)), ...ofHosts];
  const notes = reports.flatMap(({ connector, untested, patterns }) => [
    ...(untested === 0
      ? []
      : [`${connector}: ${untested} further addresses were not tested; --from ADDRESS tests one`]),
    ...(patterns.length === 0
      ? []
      : [`${connector}: ${sampleOf(patterns)} not tested; --from ADDRESS tests one address`]),
  ]);
  const sum = rows.length === 0 ? [] : ['', `senders: ${rows.length - shown.length} of ${rows.length} ok`];
  return [...sum, ...lines.flatMap((row) => linesOf(row, bold)), ...notes];
}

/** No table: what to do about a sender is a sentence. */
function linesOf(
  { connector, address, result, right, code, enhancedCode, reply, advice }: Shown,
  bold: Bold,
): string[] {
  const codes = [code, enhancedCode].filter((each) => each !== null).join(' ');
  const missing = right === null ? '' : `, missing: ${right}`;
  const head = `${connector}  ${address}  ${bold(result)}${missing}${codes === '' ? '' : ` (${codes})`}`;
  return [
    head,
    `  ${advice}`,
    ...(reply === null || result === 'unproven' ? [] : [`  reply: ${printable(reply, 500)}`]),
  ];
}

function sampleOf(patterns: readonly string[]): string {
  const first = patterns.slice(0, 3).map((pattern) => (pattern === '*' ? 'every other From' : pattern));
  const more = patterns.length > first.length ? ` and ${patterns.length - first.length} more` : '';
  return `${first.join(', ')}${more} ${patterns.length === 1 ? 'is' : 'are'}`;
}
