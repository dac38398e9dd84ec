/** What one server was found to take: recipients of a transaction, messages of a session, and what it offers but refuses. */
import type { SmtpExtensions } from './extensions.ts';
import type { Omissible } from './transaction-limits.ts';

export interface ConfiguredServerLimits {
  /** Null is without a limit. */
  readonly recipientsPerTransaction: number | null;
  readonly messagesPerSession: number | null;
}

/** Of one transport: other processes find out for themselves. */
export interface ServerLimits extends ConfiguredServerLimits {
  foundRecipients(count: number): void;
  foundMessages(count: number): void;
  foundRefused(extensions: Iterable<Omissible>): void;
  /** What a session offers, without what this server refuses. */
  usable(extensions: SmtpExtensions): SmtpExtensions;
}

/** After that the server is asked again: it may have changed, or one odd reply was taken for a limit. The price is a refusal an hour. */
const keptMs = 3_600_000;

/** `now`: ms since the epoch. */
export function createServerLimits(
  { recipientsPerTransaction, messagesPerSession }: ConfiguredServerLimits,
  now: () => number,
): ServerLimits {
  const recipients = createFound(recipientsPerTransaction, now);
  const messages = createFound(messagesPerSession, now);
  const refused = new Map<Omissible, number>();
  return {
    get recipientsPerTransaction() {
      return recipients.get();
    },
    get messagesPerSession() {
      return messages.get();
    },
    foundRecipients: (count) => recipients.lower(count),
    foundMessages: (count) => messages.lower(count),
    foundRefused(extensions) {
      for (const name of extensions) refused.set(name, now() + keptMs);
    },
    usable(extensions) {
      if (refused.size === 0) return extensions;
      return without(
        extensions,
        [...refused].flatMap(([name, until]) => (until > now() ? [name] : [])),
      );
    },
  };
}

interface Found {
  get(): number | null;
  lower(value: number): void;
}

/** The configured number, or a smaller one that was found out, for a while. */
function createFound(configured: number | null, now: () => number): Found {
  let found: { readonly value: number; readonly until: number } | null = null;
  const get = (): number | null => (found !== null && found.until > now() ? found.value : configured);
  return {
    get,
    lower(value) {
      found = { value: Math.max(1, Math.min(value, get() ?? value)), until: now() + keptMs };
    },
  };
}

export function without(extensions: SmtpExtensions, names: readonly Omissible[]): SmtpExtensions {
  if (names.length === 0) return extensions;
  const off = Object.fromEntries(names.map((name) => [name, false]));
  return { ...extensions, ...off };
}
