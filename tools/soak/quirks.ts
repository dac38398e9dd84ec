/** What a server of the soak does again and again, and not at random: limits, recipients that it never takes, outages of its own. */
import type { SmtpAnswer, SmtpContext } from '../../testkit/smtp/server.ts';

export type Quirk =
  /** Takes three recipients in a transaction and five messages in a session, and offers SIZE but refuses it. */
  | 'limits'
  /** Answers some recipients always with 421, 452 or a blocklist's 550. */
  | 'refused recipients'
  /** Refuses everything for a time, when it is told to. */
  | 'outages'
  /** Counts every try, refused ones too. */
  | 'strict rate'
  /** Closes the connection at the second recipient of some messages. */
  | 'closes at a recipient'
  /** Offers 8BITMIME, as a relay does whose next hop may refuse it. */
  | 'refuses 8BITMIME'
  /** Refuses the fifth message of a session, in words that no rule knows. */
  | 'short sessions';

interface Quirky {
  readonly quirks: readonly Quirk[];
  readonly deferredRecipient: number;
}

export interface Refusing {
  /** From now on every message has its way, so that all of it is settled. */
  readonly quiet: () => boolean;
  readonly refusesAll: () => boolean;
}

export interface Quirks {
  mail(context: SmtpContext): SmtpAnswer | undefined;
  rcpt(context: SmtpContext): SmtpAnswer | undefined;
}

const strict = { messages: 8, perMs: 2_000 };

export function recipientOf(line: string): string {
  return /<([^>]+)>/.exec(line)?.[1] ?? '';
}

/** By the last digit of the message's number, where the digit before it is 1 or 4. */
const refusals: Readonly<Record<string, string>> = {
  1: '421 4.3.2 not for this recipient',
  2: '452 4.3.1 insufficient system resources',
  3: '550 5.7.1 client host [192.0.2.1] blocked using bl.example',
};

/** By the address alone, so that it is the same for every try and every server process. */
export function foreverRefused({ quirks, deferredRecipient }: Quirky, address: string): string | undefined {
  if (deferredRecipient > 0 && /^t\d*99\.0@/.test(address)) return '550 5.1.1 no such user';
  if (!quirks.includes('refused recipients')) return undefined;
  const [, last = ''] = /^t\d*[14](\d)\.0@/.exec(address) ?? [];
  return refusals[last];
}

export function quirksOf(profile: Quirky, { quiet, refusesAll }: Refusing): Quirks {
  const has = (quirk: Quirk): boolean => profile.quirks.includes(quirk);
  /** Of each session. */
  const messages = new Map<number, number>();
  let tries: number[] = [];
  const countOf = (counts: Map<number, number>, connection: number): number => {
    const count = (counts.get(connection) ?? 0) + 1;
    counts.set(connection, count);
    return count;
  };
  return {
    mail({ line, connection }) {
      if (has('limits')) {
        if (/ SIZE=/i.test(line)) return '555 5.5.4 SIZE: unsupported parameter';
        if (countOf(messages, connection) > 5) return '452 4.5.0 Too many messages sent in this session';
      }
      if (has('refuses 8BITMIME') && / BODY=8BITMIME/i.test(line)) return '501 5.5.4 Unsupported mail BODY type';
      if (has('short sessions') && countOf(messages, connection) > 4) return '550 Feierabend';
      if (has('strict rate') && !quiet()) {
        const now = Date.now();
        tries = [...tries.filter((at) => now - at < strict.perMs), now];
        if (tries.length > strict.messages) return '451 4.7.1 too fast, slow down';
      }
      return undefined;
    },
    rcpt({ line, to }) {
      const address = recipientOf(line);
      if (has('limits') && to.length >= 3) return '452 4.5.3 Too many recipients';
      const refused = foreverRefused(profile, address);
      // Mailboxes that do not exist stay so; what says something of the connector would never be settled.
      if (refused !== undefined && (!quiet() || refused.startsWith('550 5.1.1'))) return refused;
      if (quiet()) return undefined;
      if (has('outages') && refusesAll()) return '550 Heute geschlossen';
      if (has('closes at a recipient') && /^t\d*[05]\.1@/.test(address)) return 'close';
      return undefined;
    },
  };
}
