/** The command line of the quick start. */
import { parseArgs } from 'node:util';

export interface QuickstartOptions {
  readonly count: number;
  readonly keep: boolean;
}

export const usage = `npm run quickstart [-- OPTION…]

Starts a private Redis, local SMTP servers, a fake Microsoft Graph and a worker, sends the example set through them, and checks what arrived.

  --count N   how many messages of the example set to send (default 300)
  --keep      leave all of it running afterwards, until Ctrl-C
  --help      this text

REDIS_URL, if set, names the Redis to use instead of a private one; all keys then have a prefix of their own, and go at the end.
`;

const most = 100_000;

/** null asks for the usage text. @throws Error with a sentence for the user. */
export function readOptions(args: readonly string[]): QuickstartOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      count: { type: 'string', default: '300' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const count = Number(values.count);
  if (!Number.isInteger(count) || count < 1 || count > most) {
    throw new Error(`--count must be a whole number from 1 to ${most}`);
  }
  return { count, keep: values.keep };
}
