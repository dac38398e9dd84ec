/** What SMTP tests share: settings for the scripted server, mails, and a send with a fence that counts. */
import { onTestFinished } from 'vitest';
import { unreachable } from '../../src/errors.ts';
import type { ConfiguredServerLimits } from '../../src/transport/smtp/server-limits.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { Outcome, OutgoingMail, SendContext, Transport } from '../../src/transport/transport.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../testkit/smtp/server.ts';

export interface SmtpPair {
  readonly server: SmtpServer;
  readonly transport: Transport;
}

/** A scripted server and a transport that sends to it; both end with the test. */
export async function smtpPair(
  server: SmtpServerOptions = {},
  settings: SmtpSettingsChange = {},
  maxConnections = 2,
  serverLimits?: ConfiguredServerLimits,
): Promise<SmtpPair> {
  const running = await startSmtpServer(server);
  const transport = createSmtpTransport({
    settings: smtpSettings(running.port, settings),
    hostname: 'client.test',
    maxConnections,
    ...(serverLimits === undefined ? {} : { serverLimits }),
  });
  onTestFinished(async () => {
    await transport.close();
    await running.stop();
  });
  return { server: running, transport };
}

export function mailOf(
  change: { from?: string; to?: readonly string[]; bytes?: Buffer; id?: string } = {},
): OutgoingMail {
  const { from = 'sales@example.com', to = ['a@example.net'], id = 'm1' } = change;
  const bytes = change.bytes ?? Buffer.from('Subject: hello\r\n\r\nhello\r\n');
  return { id, envelope: { from, to }, bytes };
}

/** Sends with a fence that says yes, and a signal that never comes. */
export function sendBy(transport: Transport, mail: OutgoingMail, change: Partial<SendContext> = {}): Promise<Outcome> {
  return transport.send(mail, {
    signal: new AbortController().signal,
    fence: () => Promise.resolve(true),
    ...change,
  });
}

/** `accepted rejected` and so on, in order; the kind and why, where nothing was settled. */
export function summary(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'settled': {
      // Words of the server that may concern the connector; a lost connection is not in its words.
      const suspects = new Set(outcome.recipients.map(({ open }) => open?.suspect ?? null));
      const [suspect] = suspects;
      if (suspects.size === 1 && suspect && suspect !== 'unreachable') return `suspect ${suspect}`;
      return outcome.recipients.map((recipient) => recipient.outcome).join(' ');
    }
    case 'connector-fault':
      return `fault ${outcome.fault}`;
    case 'stopped':
      return `stopped ${outcome.why}`;
    default:
      return unreachable(outcome);
  }
}
