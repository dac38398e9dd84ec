/** A mail that came from outside, as far as Graph shows it: its header as it is, its octets, and no more. Thousands of them take no time. */
import { randomUUID } from 'node:crypto';
import type { Content, Person } from './mailbox.ts';

export function receivedContent(mail: string | Buffer): Content {
  const mime = typeof mail === 'string' ? Buffer.from(mail.replaceAll(/\r?\n/g, '\r\n')) : mail;
  const text = mime.toString('latin1');
  const head = text.slice(0, /\r?\n\r?\n/.exec(text)?.index ?? text.length);
  const headers = head
    .replaceAll(/\r?\n[ \t]+/g, ' ')
    .split(/\r?\n/)
    .flatMap((line) => {
      const [, name, value] = /^([!-9;-~]+)[ \t]*:[ \t]*(.*)$/.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [{ name, value }];
    });
  const valueOf = (wanted: string): string => headers.find(({ name }) => name.toLowerCase() === wanted)?.value ?? '';
  return {
    internetMessageId: valueOf('message-id') || `<${randomUUID()}@fake-graph.example>`,
    subject: valueOf('subject'),
    from: personOf(valueOf('from')),
    to: [personOf(valueOf('to'))].filter((person) => person !== null),
    cc: [],
    bcc: [],
    replyTo: [],
    body: { contentType: 'text', content: '' },
    importance: 'normal',
    headers,
    attachments: [],
    mime,
  };
}

function personOf(value: string): Person | null {
  const [, name, address = value] = /^(.*?)<([^<>]*)>/.exec(value) ?? [];
  return address.trim() === '' ? null : { address: address.trim(), name: (name ?? '').trim().replaceAll('"', '') };
}
