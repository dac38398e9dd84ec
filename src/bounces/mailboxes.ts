/** The mailboxes that a configuration wants read, each with who reads it. */
import type { Config, ConnectorConfig } from '../config/config.ts';
import { createImapSource, type MailboxLogin } from './imap.ts';
import type { MailSource } from './source.ts';

export interface Mailbox {
  /** Id of the connector that it belongs to. */
  readonly connector: string;
  /** Whether it is another one after a reload. */
  readonly settings: unknown;
  readonly source: MailSource;
}

/** `now`: ms since the epoch. */
export function mailboxesOf({ connectors }: Pick<Config, 'connectors'>, now: () => number): Mailbox[] {
  return connectors.flatMap((connector) => {
    const settings = connector.bounces ? imapOf(connector) : null;
    if (settings === null) return [];
    return [{ connector: connector.id, settings, source: createImapSource(settings, now) }];
  });
}

function imapOf({ incoming }: ConnectorConfig): MailboxLogin | null {
  if (incoming === null || incoming.protocol !== 'imap') return null;
  const { host, port, security, tls, auth } = incoming;
  return { host, port, security, tls, auth };
}
