/** Mistakes in the configuration: the closed list of rules, the form of an issue, and how issues are printed. */
import { printable } from '../errors.ts';

/** Rule → what it requires. `docs/configuration.md` lists the same rules with what to do; a test compares the two. */
export const configRules = {
  'file-unreadable': 'The configuration file can be read.',
  'yaml-syntax': 'The file is well-formed YAML.',
  'yaml-document': 'The file is one YAML document, which is a map.',
  'yaml-alias': 'Aliases refer to an anchor above them and do not expand without limit.',
  'too-many-values': 'The file has at most 150,000 keys and values.',
  'duplicate-key': 'A key occurs only once in its map.',
  'unknown-key': 'Postlane knows every key.',
  required: 'A key without a default is set.',
  empty: 'A value is not empty.',
  type: 'A value has the type of its key: text, number, true or false, list, map.',
  choice: 'A value is one of those that its key allows.',
  range: 'A number is within its bounds.',
  port: 'A port is a whole number from 1 to 65535.',
  host: 'A host is a DNS name or an IP address.',
  listen: 'An address to listen on is a host and a port.',
  hostname: 'The EHLO name is a DNS name or an address literal.',
  duration: 'A duration is a whole number with a unit.',
  size: 'A size is a number of bytes, or a whole number with a unit.',
  'bytes-per-window': 'A limit of bytes is a size per duration.',
  date: 'A date is a day of the calendar.',
  percent: 'A percentage is a whole number from 0 to 90 with a percent sign.',
  address: 'An address is one mailbox.',
  'address-pattern': 'A pattern is an address or *@domain.',
  url: 'The Redis URL is one that Postlane can connect to.',
  prefix: 'The Redis prefix keeps all keys in one hash slot.',
  'redis-server': 'Redis is named in one way: a URL, a Cluster, or Sentinels.',
  'redis-tls': 'TLS settings for Redis are complete, and the connection is encrypted.',
  tenant: 'A tenant or client id has no characters that mean something in a URL.',
  certificate: 'A certificate is PEM text, or the path of a .pem or .crt file.',
  origin: 'The endpoint of a cloud is https:// and a host.',
  'service-account': 'The key of a service account is the JSON text that Google issues.',
  credential: 'An application or account authenticates in exactly one way.',
  'bad-reference': 'A reference is ${NAME}, ${file:PATH} or ${credential:NAME}.',
  'missing-variable': 'A referenced environment variable is set.',
  'missing-file': 'A referenced file can be read.',
  'connector-id': 'A connector id can be part of a queue name.',
  'default-gateway-missing': 'The system default gateway is named, or explicitly disabled.',
  'default-gateway-unknown': 'The system default gateway is one of the connectors.',
  'default-gateway-incoming': 'The system default gateway can send.',
  'unmonitored-address-missing': 'Without a default gateway, messages without From need an unmonitored address.',
  'unmonitored-address-unmatched': 'Without a default gateway, a sending connector matches the unmonitored address.',
  'duplicate-address': 'An address belongs to one sending connector.',
  'transport-missing': 'A connector that sends has a way to send.',
  'transport-both': 'A connector has one way to send.',
  'auth-beside-incoming': 'The SMTP server of a mailbox uses the credentials of the mailbox.',
  'bounces-mailbox': 'Delivery reports are read from a mailbox by IMAP or by Graph.',
  'bounce-path': 'A return path of single mails is an address with the place of an id.',
  'bounce-path-unused': 'A return path of single mails belongs to a connector that sends by SMTP.',
  'insecure-auth': 'Credentials are not sent over an unencrypted session.',
  'smtp-host': 'An SMTP connector has a host, or a list of different hosts.',
  'smtp-host-security': 'All hosts of a connector begin TLS in the same way.',
  'local-address-family': 'A server and the address that connections come from are of one family.',
  'limit-group-unknown': 'A connector is in a group of `limitGroups`.',
  'limit-group-id': 'The id of a group can be part of a key.',
  'limit-group-empty': 'A group has a limit.',
  'retry-order': 'The first retry delay does not exceed the longest, nor the longest the lifetime.',
  'reply-rule': 'A reply rule has patterns that match quickly, and only keys that apply to its class.',
  network: 'A network is an IP address, or a range of them in CIDR form.',
  'token-id': 'The id of a token has no characters that must be encoded.',
  sha256: 'A token stands in the file as its hash.',
  'duplicate-token': 'A token has an id and a hash of its own.',
  'api-open': 'The API listens beyond the loopback only with tokens.',
  'header-name': 'The field that names a user is none that browsers send.',
  'trusted-header': 'Roles of users whom a proxy names need proxies that are believed.',
  'user-name': 'The name of a user has no characters that must be encoded.',
  'password-hash': 'A password stands in the file as its hash.',
  listener: 'A listener has what its `security` needs, and a client without a login sends only as the file says.',
  'duplicate-user': 'A user has a name of its own.',
  'duplicate-listener': 'A listener has an address of its own.',
  'byte-budget': '`submission.maxBytesInFlight` has room for a message of the greatest size.',
  'database-url': 'The database of the outbox is one that Postlane can connect to.',
  'database-tls': 'TLS settings for the database are complete, and the connection is encrypted.',
  'webhook-url': 'A webhook goes to an HTTP URL without a user or password.',
  'webhook-secret': 'The secret of a webhook is of the form of Standard Webhooks.',
  'webhook-secrets': 'A webhook has `secret` or `secrets`.',
  'event-type': 'The type of an event is one that there is.',
  'duplicate-webhook': 'Each webhook has a different id.',
  'fallback-unknown': 'A fallback is one of the connectors.',
  'fallback-incoming': 'A fallback, and who has one, can send.',
  'fallback-loop': 'No chain of fallbacks leads back to its beginning.',
  'on-uncertain': 'Only messages sent through Graph can be verified.',
  'encryption-key': 'A key is 32 bytes in base64 or hex.',
  'encryption-key-name': 'The name of a key is 1 to 32 characters of a-z 0-9 _ -.',
  'encryption-key-twice': 'No two names have the same key.',
  'encryption-key-count': 'There are at most 64 keys.',
  'encryption-active': 'The key that seals is one of the keys.',
  'too-many-mistakes': 'At most 1,000 mistakes are listed.',
  'transport-unused': 'Warning: a connector that only receives has a way to send.',
  'limit-group-unused': 'Warning: a group of `limitGroups` has a connector.',
  'fallback-unfit': 'Warning: a fallback may send for all addresses of the connector.',
  'never-chosen': 'Warning: every connector that sends can be chosen for some address.',
  'webhook-plain': 'Warning: a webhook is encrypted on its way.',
  'database-plain': 'Warning: the connection to the database of the outbox is encrypted.',
  'ip-address': 'The address that connections come from is an IP address.',
  proxy: 'A proxy is a URL of one that Postlane can speak with, or none.',
  'proxy-local-address': 'Connections through a proxy come from the proxy.',
  'dkim-selector': 'A selector is a name in DNS.',
  'dkim-key': 'Mail is signed with an RSA key.',
  'delivery-redirect': 'Who gets redirected mail may get mail.',
  'ends-soon': 'Warning: credentials, certificates and tokens are good for four weeks and more.',
  'delivery-restricted': 'Warning: everyone gets their mail.',
  'security-port': 'Warning: `security` is what servers use at this port.',
} as const;

export type ConfigRule = keyof typeof configRules;

/** One mistake. It never contains the value of a secret or of a reference. */
export interface ConfigIssue {
  /** Path of the key, such as `connectors.sales.addresses[1]`; empty for the file as a whole. */
  readonly key: string;
  readonly rule: ConfigRule;
  /** For people: what is wrong and what to do. */
  readonly message: string;
  readonly file: string;
  /** `line` and `column` count from 1; both are 0 if the mistake has no place in the file. */
  readonly line: number;
  readonly column: number;
}

/** One line per issue: `postlane.yaml:12:5  connectors.sales.smtp.port  [port]  must be …`. */
export function formatIssues(issues: readonly ConfigIssue[]): string[] {
  return issues.map(({ key, rule, message, file, line, column }) => {
    const place = line === 0 ? file : `${file}:${line}:${column}`;
    return [place, ...(key === '' ? [] : [key]), `[${rule}]`, message].join('  ');
  });
}

/** The path of a value in the file. */
export type Path = readonly (string | number)[];

/** A mistake without its place: `on` says whether the key or the value is at fault. */
export interface Problem {
  readonly path: Path;
  readonly rule: ConfigRule;
  readonly message: string;
  readonly on: 'key' | 'value';
}

/** A key is cut at a colon: in `password:hunter2`, the missing space made a password part of the key. */
export function keyOf(path: Path): string {
  const parts = path.map((part, at) => {
    if (typeof part === 'number') return `[${part}]`;
    const isConnectorId = at === 1 && path[0] === 'connectors';
    return `.${printable(isConnectorId ? part : part.replace(/:.+$/s, ':…'), 80)}`;
  });
  return parts.join('').replace(/^\./, '');
}
