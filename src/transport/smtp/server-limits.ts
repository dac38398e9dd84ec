/** What one server was found to take: recipients of a transaction, messages of a session, and what it offers but refuses. */
import type { SmtpExtensions } from './extensions.ts';
import type { Omissible } from './transaction-limits.ts';

export interface ConfiguredServerLimits {
  /** Null is without a limit. */
  readonly recipientsPerTransaction: number | null;
  readonly messagesPerSession: number | null;
}

/** Of one transport: it lasts until the configuration changes or the process ends. Other processes find out for themselves. */
export interface ServerLimits extends ConfiguredServerLimits {
  foundRecipients(count: number): void;
  foundMessages(count: number): void;
  foundRefused(extensions: Iterable<Omissible>): void;
  /** What a session offers, without what this server refuses. */
  usable(extensions: SmtpExtensions): SmtpExtensions;
}

export function createServerLimits({
  recipientsPerTransaction,
  messagesPerSession,
}: ConfiguredServerLimits): ServerLimits {
  let recipients = recipientsPerTransaction;
  let messages = messagesPerSession;
  const refused = new Set<Omissible>();
  return {
    get recipientsPerTransaction() {
      return recipients;
    },
    get messagesPerSession() {
      return messages;
    },
    foundRecipients(count) {
      recipients = Math.max(1, Math.min(count, recipients ?? count));
    },
    foundMessages(count) {
      messages = Math.max(1, Math.min(count, messages ?? count));
    },
    foundRefused(extensions) {
      for (const name of extensions) refused.add(name);
    },
    usable: (extensions) => without(extensions, refused),
  };
}

export function without(extensions: SmtpExtensions, names: Iterable<Omissible>): SmtpExtensions {
  const off = Object.fromEntries([...names].map((name) => [name, false]));
  return { ...extensions, ...off };
}
