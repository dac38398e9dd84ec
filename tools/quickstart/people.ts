/** The senders and recipients of the example set: invented people at domains reserved for examples (RFC 2606). */

export interface Person {
  readonly name: string;
  readonly address: string;
}

/** Names of all sorts: short and long, with accents, without Latin letters, with a comma and with quotes. */
const names: readonly string[] = [
  'Ada Whitfield',
  'Zoë Janssen',
  'Łukasz Wójcik',
  'María-José Núñez',
  'Björn Åkesson',
  'Nguyễn Thị Hoa',
  '田中 花子',
  'Олена Коваль',
  'Dimitris Παπαδόπουλος',
  'O’Brien, Siobhán',
  'Kofi "Kay" Mensah',
  'Ines van der Meer',
];

const domains: readonly string[] = ['example.net', 'mail.example.net', 'example.org', 'kunden.example.org'];

/** The n-th recipient: always the same name, and an address that is unique in the set. */
export function person(n: number, mailbox = 'kunde'): Person {
  return {
    name: names[n % names.length] ?? 'Ada Whitfield',
    address: `${mailbox}-${n}@${domains[n % domains.length] ?? 'example.net'}`,
  };
}

export function people(count: number, first: number, mailbox = 'kunde'): Person[] {
  return Array.from({ length: count }, (_, i) => person(first * 1_000 + i, mailbox));
}

/** A sender of the set and its expected connector; written by hand, so that routing is not compared with itself. */
export interface Sender {
  /** null: the message names no From. */
  readonly from: Person | null;
  /** The expected envelope sender. */
  readonly address: string;
  readonly connector: string;
  readonly rule: 'exact' | 'domain' | 'default';
}

export const senders = {
  sales: exact('Example Sales', 'sales@example.com', 'sales'),
  /** Matching ignores case; the address is sent as it was written, except for its domain. */
  shoutingSales: {
    ...exact('Example Sales', 'SALES@Example.COM', 'sales'),
    address: 'SALES@example.com',
  },
  /** A sub-address matches only where it is configured, so this one matches no connector. */
  springSales: unmatched('Example Sales, spring campaign', 'sales+spring@example.com'),
  finance: exact('Example Ltd, Accounts', 'finance@example.com', 'finance'),
  billing: {
    from: { name: 'Example Billing', address: 'invoices@billing.example.com' },
    address: 'invoices@billing.example.com',
    connector: 'finance',
    rule: 'domain',
  },
  /** An internationalised domain: on the wire and in the envelope it is an A-label. */
  shop: {
    from: { name: 'Bücher am Markt', address: 'bestellung@bücher.example.org' },
    address: 'bestellung@xn--bcher-kva.example.org',
    connector: 'shop',
    rule: 'domain',
  },
  /** A mailbox in Microsoft 365. */
  support: exact('Example Support 🛟', 'support@example.com', 'support'),
  /** The address of a connector that only receives: passed over. */
  archive: unmatched('Example Archive', 'archive@example.com'),
  stranger: unmatched('J. Doe', 'j.doe@subsidiary.example.net'),
  /** Without From: the unmonitored address of the configuration. */
  system: { from: null, address: 'no-reply@example.com', connector: 'relay', rule: 'default' },
} as const satisfies Record<string, Sender>;

function exact(name: string, address: string, connector: string): Sender & { readonly from: Person } {
  return { from: { name, address }, address, connector, rule: 'exact' };
}

function unmatched(name: string, address: string): Sender & { readonly from: Person } {
  return { from: { name, address }, address, connector: 'relay', rule: 'default' };
}
