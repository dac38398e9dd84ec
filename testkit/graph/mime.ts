/** Reads a MIME message that was posted, with a parser that shares nothing with the code that wrote it. */
import { randomUUID } from 'node:crypto';
import { simpleParser, type AddressObject } from 'mailparser';
import { newId, type Content, type Person } from './mailbox.ts';

export async function readMime(mime: Buffer): Promise<Content> {
  const mail = await simpleParser(mime, { skipHtmlToText: true, skipTextToHtml: true, keepCidLinks: true });
  const [sender] = people(mail.headers.get('sender') as AddressObject | undefined);
  const html = typeof mail.html === 'string' ? mail.html : null;
  return {
    internetMessageId: mail.messageId ?? `<${randomUUID()}@fake-graph.example>`,
    subject: mail.subject ?? '',
    from: people(mail.from)[0] ?? null,
    ...(sender === undefined ? {} : { sender }),
    to: people(mail.to),
    cc: people(mail.cc),
    bcc: people(mail.bcc),
    replyTo: people(mail.replyTo),
    body: html === null ? { contentType: 'text', content: mail.text ?? '' } : { contentType: 'html', content: html },
    importance: 'normal',
    headers: mail.headerLines.map(({ key, line }) => ({ name: key, value: line.slice(line.indexOf(':') + 1).trim() })),
    attachments: mail.attachments.map(({ filename, contentType, cid, related, content }) => ({
      id: newId('AAMkAT'),
      name: filename ?? '',
      contentType,
      isInline: related === true,
      contentId: cid ?? null,
      size: content.length,
      chunks: [content],
    })),
    mime,
  };
}

/** Members of a group count, the group's own name does not (`undisclosed-recipients:;`). */
function people(field: AddressObject | AddressObject[] | undefined): Person[] {
  const entries = [field ?? []].flat().flatMap(({ value }) => value);
  return entries
    .flatMap((entry) => entry.group ?? [entry])
    .flatMap(({ address, name }) => (address === undefined || address === '' ? [] : [{ address, name }]));
}

/** What a recipient gets: the same bytes without the Bcc header fields, folded ones included. */
export function withoutBcc(mime: Buffer): Buffer {
  const text = mime.toString('latin1');
  const head = /^[\s\S]*?\n(?=\r?\n|$)/.exec(text)?.[0] ?? '';
  const fields = head.match(/[^\n]*\n(?:[ \t][^\n]*\n)*/g) ?? [];
  const shown = fields.filter((field) => !/^bcc[ \t]*:/i.test(field));
  return Buffer.from(shown.join('') + text.slice(head.length), 'latin1');
}

/** Null if it is not base64 of the standard alphabet with its padding; line breaks are fine. */
export function fromBase64(text: string): Buffer | null {
  const compact = text.replaceAll(/[\r\n]/g, '');
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) return null;
  return Buffer.from(compact, 'base64');
}
