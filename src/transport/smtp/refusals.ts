/** Recipients that are refused before the server is asked: addresses that cannot be a path, and what this server cannot take. Pure. */
import { isAscii, isPath } from './commands.ts';
import type { SmtpExtensions } from './extensions.ts';
import type { Outcome, RecipientOutcome } from '../transport.ts';

/** Address → its refusal. */
export type Refusals = ReadonlyMap<string, RecipientOutcome>;

/**
 * Addresses that are no path, by the rule of validation itself, which refuses them earlier; this is the last check before the server.
 */
export function refuseBadPaths(recipients: readonly string[], sender: string): Refusals {
  const refused = new Map<string, RecipientOutcome>();
  for (const address of recipients) {
    if (!isPath(sender)) refused.set(address, refusal(address, 'message', 'the sender is not an address'));
    else if (address === '' || !isPath(address)) refused.set(address, refusal(address, 'recipient', 'not an address'));
  }
  return refused;
}

/** What this server cannot take: RFC 6531 section 3.2 (SMTPUTF8), RFC 1870 section 6 (SIZE). `byteCount` is the message's. */
export function refuseByExtensions(
  recipients: readonly string[],
  sender: string,
  byteCount: number,
  { maxBytes, smtpUtf8 }: SmtpExtensions,
): Refusals {
  if (maxBytes !== null && byteCount > maxBytes) {
    const text = `the message has ${byteCount} bytes, and the server takes ${maxBytes}`;
    return new Map(recipients.map((address) => [address, { ...refusal(address, 'message', text), tooLarge: true }]));
  }
  if (smtpUtf8) return new Map();
  if (!isAscii(sender)) {
    const text = 'the sender is not ASCII, and the server does not offer SMTPUTF8';
    return new Map(recipients.map((address) => [address, refusal(address, 'message', text)]));
  }
  const text = 'the address is not ASCII, and the server does not offer SMTPUTF8';
  const refused = recipients.filter((address) => !isAscii(address));
  return new Map(refused.map((address) => [address, refusal(address, 'recipient', text)]));
}

/** A message that must not go to this server for any recipient. */
export function refuseUnfit(recipients: readonly string[], text: string): Refusals {
  return new Map(recipients.map((address) => [address, refusal(address, 'message', text)]));
}

/** The outcome of a mail whose recipients were all refused here. */
export function allRefused(recipients: readonly string[], refused: Refusals): Outcome {
  return { kind: 'settled', recipients: recipients.flatMap((address) => refused.get(address) ?? []) };
}

function refusal(address: string, scope: 'message' | 'recipient', text: string): RecipientOutcome {
  return { address, outcome: 'rejected', scope, reply: { code: null, enhancedCode: null, text } };
}
