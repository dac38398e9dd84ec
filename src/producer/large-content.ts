/** Moves attachments and raw messages above the inline limit into the content store, and leaves references in the message. */
import { PostlaneError } from '../errors.ts';
import { inlineContentLimitBytes, type Attachment, type Content, type Message } from '../message/message.ts';
import { sizeIssues, storedIn, type ContentStore } from '../queue/ledger/content.ts';
import { invalidMessage } from './accept.ts';

/** What storing needs of the content store. */
export type ContentSink = Pick<ContentStore, 'put' | 'link'>;

/**
 * The message with every large content replaced by a reference. Content is stored before its message, so that no reference is
 * dangling.
 *
 * @throws PostlaneError `attachment-missing`, or `message-invalid` where a reference says another size than Redis does
 */
export async function storeLargeContent(message: Message, id: string, contents: ContentSink): Promise<Message> {
  const faults = await contents.link(id, storedIn(message));
  const [missing] = faults.filter(({ storedBytes }) => storedBytes === null);
  if (missing !== undefined) {
    const text = `No content is stored under ${missing.ref.slice(0, 12)}…; send the content itself`;
    throw new PostlaneError('attachment-missing', text);
  }
  const issues = sizeIssues(message, faults);
  if (issues.length > 0) throw invalidMessage(issues);
  const store = async <T extends Content>(content: T): Promise<T> => {
    if ('ref' in content) return content;
    // Cheap to rule out: content has at most three times as many bytes as its text has characters (UTF-8), or 3/4 (base64).
    if (content.content.length * 3 <= inlineContentLimitBytes) return content;
    const bytes = Buffer.from(content.content, content.encoding);
    if (bytes.length <= inlineContentLimitBytes) return content;
    const { content: _text, encoding: _encoding, ...rest } = content;
    return { ...rest, ...(await contents.put(id, bytes)) } as unknown as T;
  };
  const attachments: Attachment[] = [];
  // One after the other: on one connection, several at once would only hold more copies in memory.
  for (const attachment of message.attachments) attachments.push(await store(attachment));
  const raw = message.raw === undefined ? {} : { raw: await store(message.raw) };
  return { ...message, attachments, ...raw };
}
