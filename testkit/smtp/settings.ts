/** Settings of a connector that sends to an SMTP server on the loopback. */
import { smtpTimeouts, type SmtpSettings, type SmtpTimeouts } from '../../src/transport/smtp/settings.ts';

export type SmtpSettingsChange = Partial<Omit<SmtpSettings, 'timeouts'>> & {
  readonly timeouts?: Partial<SmtpTimeouts>;
};

/** Without TLS, login and reply rules, with the default timeouts, except for what `change` names. */
export function smtpSettings(port: number, change: SmtpSettingsChange = {}): SmtpSettings {
  const { timeouts, ...rest } = change;
  return {
    host: '127.0.0.1',
    port,
    security: 'none',
    auth: null,
    allowInsecureAuth: false,
    tls: { ca: null, servername: null },
    replyRules: [],
    ...rest,
    timeouts: { ...smtpTimeouts, ...timeouts },
  };
}
