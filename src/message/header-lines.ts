/**
 * Writes the header fields of a composed mail: what is plain ASCII at once, everything else through nodemailer.
 *
 * Most fields of most mails need no encoding, and nodemailer takes 70 µs to find that out.
 */
import { foldLines } from 'nodemailer/lib/mime-funcs';
import MimeNode, { type MimeNodeHeaderValue } from 'nodemailer/lib/mime-node';
import type { Message } from './message.ts';

/** A line of this length or more is folded. */
const foldAt = 76;

/** An unstructured value that goes out as it is; a quote or `=?` could be taken for an encoded word. */
const plainText = /^[\t !#-~]*$/;
/** Names and addresses that nodemailer would not change: no quotes, and a domain that its URL parser has nothing to do for. */
const plainName = /^[\w ]+$/;
const plainAddress =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*@(?:[a-z0-9][a-z0-9-]{0,62}\.)+[a-z][a-z0-9]{0,62}$/;

/** One field as nodemailer writes it, without its line end; '' if it leaves it out. */
function encodedField(key: string, value: MimeNodeHeaderValue): string {
  return leafNode().setHeader(key, value).buildHeaders();
}

/** A node that is not the root of its tree adds no field of its own. The boundary is never used, and saves asking for a random one. */
function leafNode(): MimeNode {
  const root = new MimeNode(false, { baseBoundary: 'x' });
  return new MimeNode(false, { rootNode: root, baseBoundary: 'x' });
}

/** The caller's own fields, in their order. */
export function ownFields(headers: Message['headers']): string {
  const list = headerList(headers);
  return list.length === 0 ? '' : leafNode().addHeader(list).buildHeaders();
}

/** ASCII values go out as written (`prepared`), only folded: nodemailer would make an encoded word of any value with a quote in it, which breaks structured fields. */
export function headerList(
  headers: Message['headers'],
): { key: string; value: string | { prepared: boolean; foldLines: boolean; value: string } }[] {
  return Object.entries(headers).flatMap(([key, values]) =>
    values.map((each) => {
      const value = singleSpaces(each);
      return { key, value: /^[\t -~]*$/.test(value) ? { prepared: true, foldLines: true, value } : value };
    }),
  );
}

/** Long runs of spaces could fold into a line of spaces alone, which some programs take for the end of the header. */
export function singleSpaces(text: string): string {
  return text.length < 20 ? text.trim() : text.replaceAll(/[ \t]{20,}/g, ' ').trim();
}

export function plainField(key: string, value: string): string {
  const line = `${key}: ${value}`;
  return line.length < foldAt ? line : foldLines(line, foldAt);
}

export function textField(key: string, value: string): string {
  if (value.trim() === '') return '';
  return plainText.test(value) && !value.includes('=?') ? plainField(key, value) : encodedField(key, value);
}

/** `From`, `To` and their like. Names are trimmed, and without long runs of blanks. */
export function addressField(key: string, mailboxes: readonly { name: string; address: string }[]): string {
  let value = '';
  for (const { name, address } of mailboxes) {
    if (!isPlainAddress(address) || (name !== '' && !plainName.test(name))) {
      // Objects, never strings: nodemailer parses strings as address lists, so that one address could become several.
      return encodedField(
        key,
        mailboxes.map((mailbox) => ({ ...mailbox })),
      );
    }
    if (value !== '') value += ', ';
    value += name === '' ? address : `${name} <${address}>`;
  }
  return value === '' ? '' : plainField(key, value);
}

function isPlainAddress(address: string): boolean {
  return address.length < 200 && plainAddress.test(address) && !address.includes('--');
}

/** `Message-ID`, `In-Reply-To`, `References`. The ids have their angle brackets, and are as their programs made them: nothing is taken out of one. */
export function idsField(key: string, ids: readonly string[]): string {
  return ids.length === 0 ? '' : plainField(key, ids.join(' '));
}

/** RFC 5322 section 3.3; UTC. */
export function dateField(date: Date): string {
  return plainField('Date', date.toUTCString().replace('GMT', '+0000'));
}
