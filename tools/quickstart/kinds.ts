/** The kinds of mail an organisation sends: one row per kind, with its sender, its content, and how its delivery differs. */
import { logo, invoicePdf, priceList, statement, type ExampleFile } from './files.ts';
import { people, person, senders, type Person, type Sender } from './people.ts';

/** The part of the producer's input that the set uses; mailboxes are always objects. */
export interface ExampleMail {
  readonly id?: string;
  readonly from?: Person;
  readonly to?: Person[];
  readonly cc?: Person[];
  readonly bcc?: Person[];
  readonly replyTo?: Person[];
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly attachments?: ExampleFile[];
  readonly headers?: Record<string, string>;
  readonly inReplyTo?: string;
  readonly references?: string[];
  readonly raw?: string;
  readonly envelope?: { readonly from: string; readonly to: string[] };
  readonly priority?: 'high' | 'low';
  readonly sendAt?: Date;
}

/** How the delivery differs from the default: every recipient in to, cc and bcc gets a copy at once, at the first attempt. */
export interface Special {
  /** All recipients of the envelope, including those that the server rejects. */
  readonly recipients?: readonly string[];
  /** Recipients that the server rejects. */
  readonly refused?: readonly string[];
  /** The server defers it once. */
  readonly deferredOnce?: boolean;
  /** It is enqueued a second time under the same id. */
  readonly again?: boolean;
  /** It has a later `sendAt`. */
  readonly later?: boolean;
  /** What a finished message should look like at the server. */
  readonly rawAtServer?: string;
}

export interface Kind {
  readonly name: string;
  readonly sender: Sender;
  readonly mail: (n: number) => ExampleMail;
  readonly special: (n: number) => Special;
}

const kind = (
  name: string,
  sender: Sender,
  mail: (n: number) => ExampleMail,
  special: (n: number) => Special = () => ({}),
): Kind => ({ name, sender, mail, special });

const greeting = (to: Person): string => `Dear ${to.name},\n\n`;
const signature = '\n\nKind regards\n-- \nExample Ltd · 1 Sample Street · Exampleton\n';

const order = (n: number): ExampleMail => {
  const to = person(n);
  return {
    to: [to],
    subject: `Your order ${41_000 + n} is confirmed`,
    text: `${greeting(to)}thank you for your order ${41_000 + n}.\n.\nA line that is only a dot is still part of the mail.${signature}`,
  };
};

const shopNews = (n: number): ExampleMail => {
  const to = person(n);
  return {
    to: [to],
    subject: 'Neu eingetroffen: „Die Gärten von Süderbüll“',
    text: `Guten Tag, ${to.name}!\n\nIhr Buch liegt bereit.${signature}`,
    html: `<!doctype html><html lang="de"><body><h1>Guten Tag, ${to.name.replaceAll('"', '&quot;')}!</h1><p>Ihr Buch liegt bereit.</p></body></html>\n`,
  };
};

const note = (n: number, subject: string, text: string, rest: ExampleMail = {}): ExampleMail => ({
  to: [person(n)],
  subject,
  text: `${text}${signature}`,
  ...rest,
});

/** A finished message of another program: 8-bit text, a dot at the start of a line, and a Bcc that must be removed. */
const rawMail = (n: number, bcc: string): string =>
  [
    `From: "Example Sales" <sales@example.com>`,
    `To: Crm Kunde <crm-${n}@example.net>`,
    ...(bcc === '' ? [] : [`Bcc: ${bcc}`]),
    `Subject: =?utf-8?Q?Angebot_f=C3=BCr_M=C3=A4rz?=`,
    `Date: Mon, 02 Mar 2026 09:30:00 +0100`,
    `Message-ID: <crm.${n}@crm.example.com>`,
    `MIME-Version: 1.0`,
    `Content-Type: text/plain; charset=utf-8`,
    `Content-Transfer-Encoding: 8bit`,
    ``,
    `Guten Tag, anbei unser Angebot Nr. ${n} für März.`,
    `.und eine Zeile, die mit einem Punkt beginnt`,
    ``,
  ].join('\r\n');

export const kinds: readonly Kind[] = [
  kind('plain text', senders.sales, order),
  kind('HTML and text', senders.shop, shopNews),
  kind('small attachment', senders.finance, (n) =>
    note(n, 'Ihre Kontoübersicht', 'Anbei die Übersicht.', { attachments: [statement(n)] }),
  ),
  kind('large attachment', senders.billing, (n) =>
    note(n, `Invoice ${2026_0000 + n}`, 'Please find the invoice attached.', { attachments: [invoicePdf(n)] }),
  ),
  kind('system mail without From', senders.system, (n) =>
    note(n, 'Reset your password', 'Someone, hopefully you, asked for a new password.'),
  ),
  kind('From that no connector matches', senders.stranger, (n) => note(n, 'Minutes of our meeting', 'As promised.')),
  kind('From of an incoming-only connector', senders.archive, (n) =>
    note(n, 'Retention report', 'Nothing was removed this month.'),
  ),
  kind(
    'one of several recipients refused',
    senders.shop,
    (n) => ({ ...shopNews(n), cc: [gone(n), person(n + 1, 'copy')] }),
    (n) => ({ refused: [gone(n).address] }),
  ),
  kind(
    'only recipient refused',
    senders.stranger,
    (n) => note(n, 'Are you still there?', 'We have not heard from you.', { to: [gone(n)] }),
    (n) => ({ refused: [gone(n).address] }),
  ),
  kind(
    'greylisted at first',
    senders.sales,
    (n) => ({ ...order(n), to: [{ name: 'Grey Lister', address: `greylisted-${n}@example.net` }] }),
    () => ({ deferredOnce: true }),
  ),
  kind('inline image', senders.shop, (n) => ({
    ...shopNews(n),
    html: `<p>Guten Tag!</p><img src="cid:logo@example.org" alt="Logo">\n`,
    attachments: [logo],
  })),
  kind('same large attachment for many', senders.sales, (n) =>
    note(n, 'Price list 2026', 'The new prices.', { attachments: [priceList(), statement(n)] }),
  ),
  kind('many recipients', senders.sales, (n) => ({ ...order(n), to: people(60, n, 'list') })),
  kind('Cc and Bcc', senders.finance, (n) =>
    note(n, 'Payment received', 'Thank you.', { cc: people(2, n, 'copy'), bcc: people(3, n, 'hidden') }),
  ),
  kind('only Bcc', senders.billing, (n) => ({
    bcc: people(4, n, 'hidden'),
    subject: 'Our bank details have not changed',
    text: `Beware of forged invoices.${signature}`,
  })),
  kind('Reply-To and headers of its own', senders.sales, (n) =>
    note(n, 'Tell us how we did', 'Two questions only.', {
      replyTo: [{ name: 'Kundenbetreuung Süd', address: 'care@example.com' }],
      headers: {
        'X-Order-Number': String(41_000 + n),
        'List-Unsubscribe': `<https://www.example.com/unsubscribe/${n}>`,
      },
    }),
  ),
  kind('answer in a thread', senders.finance, (n) =>
    note(n, 'Re: Question about my invoice', 'The answer is yes.', {
      inReplyTo: `<question-${n}@example.net>`,
      references: [`<first-${n}@example.net>`, `<question-${n}@example.net>`],
    }),
  ),
  kind('names beyond ASCII', senders.sales, (n) => ({
    ...order(n),
    to: [6, 7, 8, 9, 10].map((i) => person(n * 1_200 + i, 'name')),
    subject: `Επιβεβαίωση · 確認 · Підтвердження ${n}`,
  })),
  kind('emoji and a long subject', senders.shop, (n) =>
    note(n, `🎉 ${'Sommerschlußverkauf auf alle Bücher, '.repeat(6)}nur bis Samstag 📚`, 'Kommen Sie vorbei.'),
  ),
  kind('internationalised recipient domain', senders.sales, (n) => ({
    ...order(n),
    to: [{ name: 'Grüße GmbH', address: `info-${n}@grüße.example.net` }],
  })),
  kind('internationalised recipient address', senders.stranger, (n) =>
    note(n, 'Grüße', 'Umlaut vor dem @.', { to: [{ name: 'Jörg', address: `jörg-${n}@example.net` }] }),
  ),
  kind(
    'finished RFC 5322 message',
    senders.sales,
    (n) => ({ raw: rawMail(n, `chef-${n}@example.com`) }),
    (n) => ({
      recipients: [`crm-${n}@example.net`, `chef-${n}@example.com`],
      rawAtServer: rawMail(n, ''),
    }),
  ),
  kind('high priority', senders.system, (n) =>
    note(n, `Your code is ${100_000 + n * 7}`, 'It is good for ten minutes.', { priority: 'high' }),
  ),
  kind('low priority', senders.shop, (n) => ({ ...shopNews(n), priority: 'low' })),
  kind('From in capitals', senders.shoutingSales, order),
  kind('sub-address of a sender', senders.springSales, order),
  kind(
    'id of the caller, enqueued twice',
    senders.billing,
    (n) => note(n, `Reminder ${n}`, 'Only once, please.', { id: `reminder-${n}` }),
    () => ({ again: true }),
  ),
  kind('automatic answer without a sender', senders.finance, (n) =>
    note(n, 'Out of office', 'Back on Monday.', {
      headers: { 'Auto-Submitted': 'auto-replied' },
      envelope: { from: '', to: [person(n).address] },
    }),
  ),
  kind('not before a given time', senders.sales, order, () => ({ later: true })),
  kind('through Microsoft Graph', senders.support, (n) =>
    note(n, `Re: [Ticket ${n}] Où est ma commande ?`, 'It is on its way.', {
      html: `<p>It is on its way.</p><img src="cid:logo@example.org" alt="Logo">\n`,
      attachments: [logo, invoicePdf(n)],
      replyTo: [{ name: 'Support, "second level"', address: `ticket-${n}@example.com` }],
      headers: { 'X-Ticket': String(n), 'Auto-Submitted': 'auto-generated' },
      inReplyTo: `<ticket-${n}@example.net>`,
      references: [`<ticket-${n}@example.net>`],
    }),
  ),
  kind('through Graph, Cc and Bcc', senders.support, (n) =>
    note(n, `[Ticket ${n}] closed`, 'Thank you.', { cc: people(2, n, 'copy'), bcc: people(3, n, 'hidden') }),
  ),
  kind('through Graph, only Bcc', senders.support, (n) => ({
    bcc: people(4, n, 'hidden'),
    subject: 'Maintenance on Sunday',
    text: `Between 2 and 4 in the morning.${signature}`,
  })),
];

/** A recipient that the servers do not know. */
function gone(n: number): Person {
  return { name: 'Former Customer', address: `gone-${n}@example.net` };
}
