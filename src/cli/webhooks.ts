/** `webhooks`: how it stands with each endpoint; its dead letters; test, retry, enable, drop. */
import type { Command } from 'commander';
import { PostlaneError, printable } from '../errors.ts';
import type { Actions } from '../admin/actions.ts';
import type { Operator } from '../admin/operator.ts';
import type { Config } from '../config/config.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';
import type { DeadDelivery, WebhookView } from '../queue/deliveries/deliveries.ts';
import { shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { Conflict, UsageError, type ExitCode } from './failure.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';
import { parseCount } from './values.ts';

export function addWebhooks(program: Command, action: Action): void {
  const webhooks = program
    .command('webhooks')
    .description('endpoints that are told of events: list, dead, test, retry, enable, drop');
  webhooks
    .command('list', { isDefault: true })
    .description('list webhooks, with what is open and what came of deliveries')
    .action(action((call) => withOperator(call, list)));
  webhooks
    .command('dead')
    .argument('<id>', 'id of a webhook')
    .description('list events that could not be delivered, the newest first')
    .option('--limit <n>', 'how many at most', parseCount, 50)
    .action(
      action<{ readonly limit: number }>((call, { limit }, [id = '']) =>
        withOperator(call, async ({ operator }) => {
          await required(operator, id);
          return showDead(await operator.webhooks.deadLetters(id, limit), call.terminal);
        }),
      ),
    );
  webhooks
    .command('test')
    .argument('<id>', 'id of a webhook')
    .description('send an event `webhook.test` from here, now')
    .action(
      action((call, _options, [id = '']) =>
        withOperator(call, (opened) => test(opened, configured(opened, id), call.terminal)),
      ),
    );
  webhooks
    .command('retry')
    .argument('<id>', 'id of a webhook')
    .description('deliver events again that could not be delivered')
    .option('--event <id>', 'this one')
    .option('--all', 'all of them')
    .action(
      action<{ readonly event?: string; readonly all?: true }>((call, { event, all }, [id = '']) =>
        withOperator(call, async ({ operator, actions }) => {
          if ((event === undefined) === (all === undefined)) throw new UsageError('either --event ID or --all');
          await required(operator, id);
          const retried = await actions.retryWebhook(id, event ?? null);
          if (retried === 0 && event !== undefined) throw unknown('dead letter', event);
          call.terminal.result({ id, retried }, () => [
            `${retried} ${retried === 1 ? 'event' : 'events'} to be delivered again.`,
          ]);
          return 0;
        }),
      ),
    );
  webhooks
    .command('enable')
    .argument('<id>', 'id of a webhook')
    .description('switch a webhook on again; it gets what happens from now on, and what was open')
    .action(
      action((call, _options, [id = '']) =>
        withOperator(call, async ({ operator, actions }) => {
          await required(operator, id);
          if (!(await actions.enableWebhook(id)))
            throw new Conflict(`The webhook ${printable(id, 70)} is not switched off.`);
          call.terminal.result({ id, enabled: true }, () => [`${id} is switched on.`]);
          return 0;
        }),
      ),
    );
  webhooks
    .command('drop')
    .argument('<id>', 'id of a webhook that is not in the configuration')
    .description('forget what is kept of a webhook, its dead letters included')
    .action(
      action((call, _options, [id = '']) =>
        withOperator(call, async ({ operator, actions, config }) => {
          await required(operator, id);
          if (config.webhooks.some((each) => each.id === id)) {
            throw new Conflict(`The webhook ${printable(id, 70)} is in the configuration; remove it there first.`);
          }
          await actions.dropWebhook(id);
          call.terminal.result({ id, dropped: true }, () => [`Nothing is kept of ${id} any more.`]);
          return 0;
        }),
      ),
    );
}

interface Opened {
  readonly operator: Operator;
  readonly actions: Actions;
  readonly config: Config;
  readonly terminal: Terminal;
}

async function withOperator(call: Call, work: (opened: Opened) => Promise<ExitCode>): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    return await work({ operator, config, terminal: call.terminal, actions: operator.as(shellActor(), config) });
  } finally {
    operator.close();
  }
}

function unknown(what: string, id: string): PostlaneError {
  return new PostlaneError(
    'not-found',
    `No ${what} has the id "${printable(id, 130)}". See \`postlane webhooks list\`.`,
  );
}

async function required(operator: Operator, id: string): Promise<void> {
  if (!(await operator.webhooks.known()).includes(id)) throw unknown('webhook', id);
}

function configured({ config }: Opened, id: string): WebhookEndpoint {
  const found = config.webhooks.find((each) => each.id === id);
  if (found === undefined) throw unknown('webhook of the configuration', id);
  return found;
}

async function list({ operator, config, terminal }: Opened): Promise<ExitCode> {
  const ids = new Set([...config.webhooks.map(({ id }) => id), ...(await operator.webhooks.known())]);
  const rows = await Promise.all(
    [...ids].map(async (id) => ({
      ...(await operator.webhooks.view(id)),
      configured: config.webhooks.some((each) => each.id === id),
    })),
  );
  terminal.results(rows.map(viewJson), () => (rows.length === 0 ? ['No webhooks.'] : lines(rows, terminal)));
  return 0;
}

type Row = WebhookView & { readonly configured: boolean };

const time = (at: number | null): string | null => (at === null ? null : iso(at));

function stateOf({ configured, off, failures }: Row): string {
  if (!configured) return 'not configured';
  if (off !== null) return `off: ${off}`;
  return failures > 0 ? 'failing' : 'ok';
}

function viewJson(row: Row): Readonly<Record<string, unknown>> {
  const { id, configured, off, open, deadLetters, delivered, failed, dead, failures, lastReason } = row;
  return {
    id,
    configured,
    off,
    offAt: time(row.offAt),
    open,
    oldestAt: time(row.oldestAt),
    deadLetters,
    delivered,
    failed,
    dead,
    failures,
    failingSince: time(row.failingSince),
    lastFailureAt: time(row.failedAt),
    lastFailure: lastReason,
    deliveredAt: time(row.deliveredAt),
  };
}

function lines(rows: readonly Row[], { bold }: Terminal): string[] {
  return table(
    rows,
    [
      { title: 'WEBHOOK', cell: ({ id }) => id },
      { title: 'STATE', cell: stateOf },
      { title: 'OPEN', align: 'right', cell: ({ open }) => String(open) },
      { title: 'OLDEST', cell: ({ oldestAt }) => time(oldestAt) },
      { title: 'DEAD', align: 'right', cell: ({ deadLetters }) => String(deadLetters) },
      { title: 'DELIVERED', align: 'right', cell: ({ delivered }) => String(delivered) },
      { title: 'LAST DELIVERY', cell: ({ deliveredAt }) => time(deliveredAt) },
      { title: 'LAST FAILURE', cell: ({ lastReason }) => lastReason },
    ],
    bold,
  );
}

function showDead(letters: readonly DeadDelivery[], terminal: Terminal): ExitCode {
  terminal.results(
    letters.map(({ eventId, type, at, message, sequence, reason, diedAt }) => ({
      event: eventId,
      type,
      at: iso(at),
      message,
      sequence,
      reason,
      diedAt: time(diedAt),
    })),
    () =>
      letters.length === 0
        ? ['No dead letters.']
        : table(
            letters,
            [
              { title: 'EVENT', cell: ({ eventId }) => eventId },
              { title: 'TYPE', cell: ({ type }) => type },
              { title: 'TIME', cell: ({ at }) => iso(at) },
              { title: 'MESSAGE', cell: ({ message }) => message },
              { title: 'REASON', cell: ({ reason }) => reason },
            ],
            terminal.bold,
          ),
  );
  return 0;
}

async function test({ actions }: Opened, endpoint: WebhookEndpoint, terminal: Terminal): Promise<ExitCode> {
  const { tryWebhook } = await import('./webhook-test.ts');
  const { status, failure } = await actions.testWebhook(
    endpoint.id,
    () => tryWebhook(endpoint),
    (tried) => tried.failure,
  );
  terminal.result({ id: endpoint.id, ok: failure === null, status, detail: failure }, () => [
    failure === null
      ? `${endpoint.id} took the event: HTTP ${status}.`
      : terminal.bad(`${endpoint.id} did not take the event: ${failure}.`),
  ]);
  return failure === null ? 0 : 1;
}
