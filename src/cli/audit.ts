/** `audit`: who did what, through the API, the dashboard or the command line, newest first. */
import { Option, type Command } from 'commander';
import { auditActions, type AuditAction, type AuditEntry } from '../admin/audit.ts';
import { auditJson } from '../admin/show.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { asError } from '../errors.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';
import { parseCount, parsePast } from './values.ts';

interface AuditOptions {
  readonly by?: string;
  readonly action?: AuditAction;
  readonly target?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit: number;
}

export function addAudit(program: Command, action: Action): void {
  program
    .command('audit')
    .description('list who did what, newest first')
    .option('--by <who>', 'only what this token or user did')
    .addOption(new Option('--action <action>', 'only this action').choices(auditActions))
    .option('--target <id>', 'only what was done to this connector, message or operation')
    .option('--since <time>', 'only since this time: ISO 8601 with a time zone, or a duration ago (2h, 7d)')
    .option('--until <time>', 'only until this time')
    .option('--limit <n>', 'how many at most', parseCount, 100)
    .action(action<AuditOptions>((call, options) => audit(call, options)));
}

async function audit(call: Call, { by, action, target, since, until, limit }: AuditOptions): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const now = Date.now();
  const filter = {
    ...(by === undefined ? {} : { by }),
    ...(action === undefined ? {} : { action }),
    ...(target === undefined ? {} : { target }),
    ...(since === undefined ? {} : { since: past('--since', since, now) }),
    ...(until === undefined ? {} : { until: past('--until', until, now) }),
  };
  const operator = await openOperator(config);
  try {
    const items: AuditEntry[] = [];
    for (let next: string | null | undefined; next !== null && items.length < limit;) {
      const page = await operator.audit.list(filter, next ?? null, limit - items.length);
      items.push(...page.items);
      next = page.next;
    }
    call.terminal.results(items.map(auditJson), () => lines(items, call.terminal));
    return 0;
  } finally {
    operator.close();
  }
}

function past(option: string, text: string, now: number): number {
  try {
    return parsePast(text, now);
  } catch (thrown) {
    throw new UsageError(`${option}: ${asError(thrown).message}`);
  }
}

function lines(items: readonly AuditEntry[], { bold }: Terminal): string[] {
  if (items.length === 0) return ['Nothing was recorded.'];
  return table(
    items,
    [
      { title: 'TIME', cell: ({ at }) => iso(at) },
      { title: 'WHO', cell: ({ by }) => by },
      { title: 'THROUGH', cell: ({ through }) => through },
      { title: 'ACTION', cell: ({ action }) => action },
      { title: 'TARGET', cell: ({ target }) => target },
      { title: 'RESULT', cell: ({ result }) => result },
      { title: 'DETAIL', cell: ({ detail }) => detail },
      { title: 'REASON', cell: ({ reason }) => reason },
    ],
    bold,
  );
}
