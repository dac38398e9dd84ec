/** The section `smtp` of a connector: its server, login and time limits, and the signature of its mail. */
import { createPrivateKey } from 'node:crypto';
import { isIP } from 'node:net';
import { z } from 'zod';
import { asciiDomain } from '../message/address.ts';
import type { DkimSettings } from '../message/dkim.ts';
import { smtpTimeouts } from '../transport/smtp/settings.ts';
import { oauth2 } from './oauth.ts';
import * as value from './values.ts';

/** The default with the unit that a person would choose in the file. */
const written = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`);

const timeout = (ms: number, description: string) => value.duration(1).prefault(written(ms)).describe(description);

/** RFC 8301 section 3.2: verifiers ignore signatures of shorter keys. */
const leastKeyBits = 1_024;
const mostKeyBits = 8_192;

const signingDomain = value.textAs('hostname', (text): value.Reading<string> => {
  const domain = asciiDomain(text);
  return domain !== null && domain.includes('.')
    ? { value: domain }
    : { must: 'must be the domain that signs, such as example.com' };
});

/** Labels of a name in DNS (RFC 6376 section 3.1). */
const selector = value.textAs('dkim-selector', (text): value.Reading<string> =>
  /^(?=.{1,200}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i.test(text)
    ? { value: text.toLowerCase() }
    : { must: 'must be the name before ._domainkey in DNS: letters, digits and hyphens' },
);

const signingKey = value.textAs('dkim-key', (text): value.Reading<string> => {
  const must = `must be an RSA key of ${leastKeyBits} to ${mostKeyBits} bits without a passphrase: PEM text, such as \${file:dkim.pem}, or the path of a .pem or .key file`;
  try {
    const key = createPrivateKey(text);
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    return key.asymmetricKeyType === 'rsa' && bits >= leastKeyBits && bits <= mostKeyBits ? { value: text } : { must };
  } catch {
    return { must };
  }
});

const localAddress = value.textAs('ip-address', (text): value.Reading<string> =>
  isIP(text) === 0 || text.includes('%') ? { must: 'must be an IP address of this machine' } : { value: text },
);

const dkim = z.strictObject({
  domain: signingDomain.describe(
    'Domain that signs (`d=`). DMARC counts the signature where the From domain is this domain or below it.',
  ),
  selector: selector.describe('Name of the key: its public part is at `SELECTOR._domainkey.DOMAIN` in DNS.'),
  key: signingKey.describe('Private RSA key: PEM text, or the path of a `.pem` or `.key` file.'),
});

export const smtp = z.strictObject({
  host: value.host.optional().describe('Name or IP address of the SMTP server. Required unless `hosts` is set.'),
  hosts: z
    .array(
      z.strictObject({
        host: value.host.describe('Name or IP address of the SMTP server.'),
        port: value.port.optional().describe('Port. Default: that of the connector.'),
        weight: z
          .int()
          .min(1)
          .max(100)
          .optional()
          .describe('Part of new sessions that the host gets, beside the others (1 where it is left out).'),
      }),
    )
    .min(1)
    .max(10)
    .optional()
    .describe(
      'Several servers in place of `host`, each with the same login. A new session goes to the first that can be used, or by chance where one has a weight.',
    ),
  port: value.port.optional().describe('Port. Default: 465 for `security: tls`, 25 for `none`, otherwise 587.'),
  security: z
    .enum(['tls', 'starttls', 'none'])
    .optional()
    .describe(
      '`tls`: TLS from the first byte (default at port 465). `starttls`: STARTTLS, required (default at every other port). `none`: plain text.',
    ),
  auth: z
    .strictObject({
      user: value.text.describe('User name.'),
      password: value.secret.optional().describe('Password, normally a reference. Required unless `oauth2` is set.'),
      oauth2: oauth2.optional().describe('Logs in with an access token (XOAUTH2) instead of a password.'),
    })
    .optional()
    .describe(
      'Credentials for the server. Default: those of `incoming`, otherwise none (an open relay inside a network).',
    ),
  allowInsecureAuth: z
    .boolean()
    .default(false)
    .describe('Sends credentials although `security` is `none`. Anyone on the network path can read them.'),
  localAddress: localAddress
    .nullable()
    .default(null)
    .describe(
      'IP address of this machine that connections come from, where it has several. Only addresses of the server of the same family are tried.',
    ),
  tls: value.serverTls,
  dkim: dkim.optional().describe('Signs each mail, for a server that does not. Receivers find the public key in DNS.'),
  timeouts: z
    .strictObject({
      connect: timeout(smtpTimeouts.connectMs, 'Until the connection is established.'),
      greeting: timeout(
        smtpTimeouts.greetingMs,
        'Until the server’s greeting. RFC 5321 section 4.5.3.2 asks for 5 minutes.',
      ),
      command: timeout(
        smtpTimeouts.commandMs,
        'Longest silence of the server in any later phase. RFC 5321 section 4.5.3.2 asks for 5 minutes.',
      ),
      dataTermination: timeout(
        smtpTimeouts.dataTerminationMs,
        'From the end of the message to the server’s reply. A shorter time makes more messages uncertain.',
      ),
      total: timeout(smtpTimeouts.totalMs, 'One attempt, up to the end of the message.'),
    })
    .prefault({})
    .describe('How long each phase of a session may take.'),
});

export function buildDkim(file: z.output<typeof dkim> | undefined): DkimSettings | null {
  if (file === undefined) return null;
  const { domain, selector: name, key } = file;
  return { domain, selector: name, privateKey: key };
}
