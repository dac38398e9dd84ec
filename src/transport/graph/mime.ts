/**
 * Makes the header name exactly the recipients of this attempt, because Graph has no envelope and sends to whom the header
 * names. Pure.
 *
 * Recipients that no To or Cc field names go into a Bcc field, which Exchange removes before delivery. Recipients that are
 * named but not part of this attempt (they have their copy, or another connector sends it) are removed from To and Cc: the
 * price is a header that does not name them; the alternative would be a second copy.
 */
import MimeNode from 'nodemailer/lib/mime-node';
import { parseMailboxList, routingKey } from '../../message/address.ts';
import type { Mailbox } from '../../message/message.ts';
import { readHeaderBlock } from '../../message/header-block.ts';

export type Addressed =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly problem: string };

/** `bytes`: without Bcc fields, as composed. `recipients`: the envelope's. */
export function addressTo(bytes: Buffer, recipients: readonly string[]): Addressed {
  const wanted = new Map(recipients.map((address) => [routingKey(address), address]));
  const parts: Buffer[] = [];
  let position = 0;
  for (const field of readHeaderBlock(bytes).fields) {
    const name = field.name.toLowerCase();
    if (name === 'bcc' || name === 'resent-bcc') return { ok: false, problem: `has a ${field.name} field` };
    if (name !== 'to' && name !== 'cc') continue;
    const parsed = parseMailboxList(Buffer.from(field.value, 'latin1').toString('utf8'));
    if (!parsed.ok) {
      return {
        ok: false,
        problem: `has a ${field.name} field that ${parsed.problem}; Graph would send to whom it finds there`,
      };
    }
    const kept = parsed.value.filter(({ address }) => wanted.has(routingKey(address)));
    const untouched = kept.length === parsed.value.length && kept.length > 0;
    for (const { address } of kept) wanted.delete(routingKey(address));
    if (untouched) continue;
    parts.push(bytes.subarray(position, field.start));
    // A group without members ("undisclosed-recipients:;") is removed, too: Graph refuses it.
    if (kept.length > 0) parts.push(Buffer.from(fieldOf(field.name, kept)));
    position = field.end;
  }
  const bcc = wanted.size === 0 ? '' : `Bcc: ${[...wanted.values()].join(',\r\n ')}\r\n`;
  return { ok: true, bytes: Buffer.concat([Buffer.from(bcc), ...parts, bytes.subarray(position)]) };
}

function fieldOf(name: string, mailboxes: readonly Mailbox[]): string {
  const node = new MimeNode('text/plain');
  node.setHeader(
    name,
    mailboxes.map((mailbox) => ({ name: mailbox.name ?? '', address: mailbox.address })),
  );
  const built = node.buildHeaders().split(/\r\n(?![ \t])/);
  const line = built.find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`)) ?? '';
  return `${line}\r\n`;
}
