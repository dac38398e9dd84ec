/** Mistakes in the configuration: the closed list of rules, the shape of an issue, and how a list of them is printed. */
import { printable } from '../errors.ts';

/** Rule word → what it asks for. `docs/configuration.md` carries the same words with what to do; a test compares the two. */
export const configRules = {
  'file-unreadable': 'The configuration file can be read.',
  'yaml-syntax': 'The file is well-formed YAML.',
  'yaml-document': 'The file is one YAML document, and that is a map.',
  'yaml-alias': 'Aliases refer to an anchor above them and do not multiply without end.',
  'duplicate-key': 'A key stands only once in its map.',
  'unknown-key': 'Every key is one that Postlane knows.',
  required: 'A key that has no default is there.',
  empty: 'A value is not empty.',
  type: 'A value is of the kind that its key takes: text, number, true or false, list, map.',
  choice: 'A value is one of those that its key takes.',
  range: 'A number is within its bounds.',
  port: 'A port is a whole number from 1 to 65535.',
  host: 'A host is a DNS name or an IP address.',
  hostname: 'The EHLO name is a DNS name or an address literal.',
  duration: 'A duration is a whole number with a unit.',
  size: 'A size is a number of bytes, or a whole number with a unit.',
  'bytes-per-window': 'A limit of bytes is a size within a duration.',
  address: 'An address is one mailbox.',
  'address-pattern': 'A pattern is an address or *@domain.',
  url: 'The Redis URL is one that Postlane can connect to.',
  prefix: 'The Redis prefix keeps all keys in one hash slot.',
  'redis-server': 'Redis is named in one way: a URL, a Cluster, or Sentinels.',
  'redis-tls': 'TLS settings for Redis are whole, and of a connection that is encrypted.',
  tenant: 'A tenant or client id can stand in a URL as it is.',
  certificate: 'Certificates are given in PEM form, or by the path of a .pem or .crt file.',
  origin: 'The address of a cloud is https:// and a host.',
  'service-account': 'The key of a service account is the JSON text that Google gives out.',
  credential: 'An application or account proves who it is in exactly one way.',
  'bad-reference': 'A reference is ${NAME} or ${file:PATH}.',
  'missing-variable': 'An environment variable that is referred to is set.',
  'missing-file': 'A file that is referred to can be read.',
  'connector-id': 'A connector id can be the name of a queue.',
  'default-gateway-missing': 'The system default gateway is chosen, or disabled, in so many words.',
  'default-gateway-unknown': 'The system default gateway is one of the connectors.',
  'default-gateway-incoming': 'The system default gateway can send.',
  'unmonitored-address-missing': 'Without a default gateway, messages without From need an unmonitored address.',
  'unmonitored-address-unmatched': 'Without a default gateway, a sending connector matches the unmonitored address.',
  'duplicate-address': 'An address belongs to one sending connector.',
  'transport-missing': 'A connector that sends has a way to send.',
  'transport-both': 'A connector has one way to send.',
  'auth-beside-incoming': 'The SMTP server of a mailbox takes the credentials of the mailbox.',
  'insecure-auth': 'Credentials do not go over an unencrypted session.',
  'retry-order': 'The first delay of a retry is not longer than the longest, nor the longest than the lifetime.',
  'reply-rule': 'A reply rule names patterns that can be matched quickly, and only what its class can have.',
  'on-uncertain': 'Only what Graph sends can be looked up.',
  'transport-unused': 'Warning: a connector that only receives has a way to send.',
  'never-chosen': 'Warning: a connector that sends can be chosen for some address.',
  'security-port': 'Warning: the security fits what is usual at the port.',
} as const;

export type ConfigRule = keyof typeof configRules;

/** One mistake. It never carries a secret's value, nor anything that came out of a reference. */
export interface ConfigIssue {
  /** Path of the key, such as `connectors.sales.addresses[1]`; empty for the file as a whole. */
  readonly key: string;
  readonly rule: ConfigRule;
  /** For people: what is wrong and what to do. */
  readonly message: string;
  readonly file: string;
  /** Both count from 1; both are 0 where the mistake is not at a place in the file. */
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

/** Where a value stands in the tree of the file. */
export type Path = readonly (string | number)[];

/** A mistake before it has been located: `on` says whether the key or the value is at fault. */
export interface Problem {
  readonly path: Path;
  readonly rule: ConfigRule;
  readonly message: string;
  readonly on: 'key' | 'value';
}

/** Of a key with a colon in it only the beginning: `password:hunter2` is a password whose space was forgotten. */
export function keyOf(path: Path): string {
  const parts = path.map((part, at) => {
    if (typeof part === 'number') return `[${part}]`;
    const isConnectorId = at === 1 && path[0] === 'connectors';
    return `.${printable(isConnectorId ? part : part.replace(/:.+$/s, ':…'), 80)}`;
  });
  return parts.join('').replace(/^\./, '');
}
