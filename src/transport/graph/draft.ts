/** A message in Graph's JSON: for drafts, which take attachments one by one, and for sending without a copy. Pure. */
import { routingKey } from '../../message/address.ts';
import type { Attachment, Mailbox, Message } from '../../message/message.ts';

interface Recipient {
  readonly emailAddress: { readonly address: string; readonly name?: string };
}

/** At most five, with names that begin with x-: https://learn.microsoft.com/graph/api/resources/internetmessageheader. */
const maxHeaders = 5;

/**
 * Addressed to exactly the recipients of the envelope: those that To and Cc name stay there, the others get a blind copy. What
 * Graph has no property for is left out: header fields that do not begin with X-, List-Unsubscribe, In-Reply-To and References. Of text beside
 * HTML only the HTML is used, from which Exchange generates the text.
 */
export function draftOf(
  message: Message,
  messageId: string | null,
  recipients: readonly string[],
): Record<string, unknown> {
  const wanted = new Map(recipients.map((address) => [routingKey(address), address]));
  const take = (mailboxes: readonly Mailbox[]): Recipient[] =>
    mailboxes.filter(({ address }) => wanted.delete(routingKey(address))).map(recipientOf);
  const to = take(message.to);
  const cc = take(message.cc);
  const named = new Map(message.bcc.map((mailbox) => [routingKey(mailbox.address), mailbox]));
  const bcc = [...wanted].map(([key, address]) => recipientOf(named.get(key) ?? { address }));
  const headers = Object.entries(message.headers)
    .filter(([name]) => /^x-/i.test(name))
    .flatMap(([name, values]) => values.map((value) => ({ name, value })))
    .slice(0, maxHeaders);
  const { subject, text, html, from, sender } = message;
  return {
    ...(subject === undefined ? {} : { subject }),
    body: html === undefined ? { contentType: 'text', content: text ?? '' } : { contentType: 'html', content: html },
    ...(from === undefined ? {} : { from: recipientOf(from) }),
    ...(sender === undefined ? {} : { sender: recipientOf(sender) }),
    toRecipients: to,
    ccRecipients: cc,
    bccRecipients: bcc,
    replyTo: message.replyTo.map(recipientOf),
    ...(message.importance === undefined ? {} : { importance: message.importance }),
    ...(messageId === null ? {} : { internetMessageId: messageId }),
    ...(headers.length === 0 ? {} : { internetMessageHeaders: headers }),
  };
}

function recipientOf({ name, address }: Mailbox): Recipient {
  return { emailAddress: name === undefined ? { address } : { address, name } };
}

/** An attachment for one request. */
export function fileAttachmentOf(attachment: Attachment, bytes: Buffer): Record<string, unknown> {
  const { cid, disposition } = attachment;
  return {
    '@odata.type': '#microsoft.graph.fileAttachment',
    name: nameOf(attachment),
    ...(attachment.contentType === undefined ? {} : { contentType: attachment.contentType }),
    ...(cid === undefined ? {} : { contentId: cid }),
    isInline: disposition === 'inline',
    contentBytes: bytes.toString('base64'),
  };
}

/** The request that opens an upload session. */
export function attachmentItemOf(attachment: Attachment, size: number): Record<string, unknown> {
  const { cid, contentType, disposition } = attachment;
  return {
    AttachmentItem: {
      attachmentType: 'file',
      name: nameOf(attachment),
      size,
      ...(contentType === undefined ? {} : { contentType }),
      ...(cid === undefined ? {} : { contentId: cid }),
      isInline: disposition === 'inline',
    },
  };
}

/** Graph refuses an attachment without a name. */
function nameOf({ filename }: Attachment): string {
  return filename === undefined || filename === '' ? 'attachment' : filename;
}
