/** The mailboxes that a configuration wants read, each with who reads it. */
import { unreachable } from '../errors.ts';
import type { Config, ConnectorConfig, ReportMailbox } from '../config/config.ts';
import { mailboxKey } from '../queue/mailboxes.ts';
import type { MailSource } from './source.ts';

export interface Mailbox {
  /** The connector that it belongs to. */
  readonly connector: string;
  /** Names it in Redis: a connector may have several. */
  readonly key: string;
  readonly protocol: ReportMailbox['protocol'];
  /** Whether it is another one after a reload. */
  readonly settings: unknown;
  readonly source: MailSource;
}

/** `now`: ms since the epoch. */
export function mailboxesOf({ connectors }: Pick<Config, 'connectors'>, now: () => number): Mailbox[] {
  return connectors.flatMap((connector) => connector.bounces.map((mailbox) => mailboxOf(connector, mailbox, now)));
}

function mailboxOf({ id }: ConnectorConfig, settings: ReportMailbox, now: () => number): Mailbox {
  const { protocol } = settings;
  const key = mailboxKey(id, settings.protocol === 'imap' ? null : settings.address);
  return { connector: id, key, protocol, settings, source: loaded(() => sourceOf(settings, now)) };
}

async function sourceOf(mailbox: ReportMailbox, now: () => number): Promise<MailSource> {
  switch (mailbox.protocol) {
    case 'imap':
      return (await import('./imap.ts')).createImapSource(mailbox.login, now);
    case 'graph':
      return (await import('./graph.ts')).createGraphSource(mailbox.graph, mailbox.address, now);
    default:
      return unreachable(mailbox);
  }
}

/** Loads the code of a protocol when the first mailbox is read by it. */
function loaded(load: () => Promise<MailSource>): MailSource {
  let source: Promise<MailSource> | null = null;
  const get = (): Promise<MailSource> => (source ??= load());
  return {
    async *read(options) {
      yield* (await get()).read(options);
    },
    check: async (signal) => (await get()).check(signal),
  };
}
