/** How many bytes a message has at least, read off the lengths of what a caller gave: what is too large is not read at all. */
import { maxAlternatives, maxAttachments } from './bounds.ts';
import { isBytes, isRecord } from './counts.ts';

export function leastBytes(input: Readonly<Record<string, unknown>>): number {
  let bytes = leastOf(input['text']) + leastOf(input['html']) + leastOf(input['raw']) + leastOf(input['calendarEvent']);
  const alternatives = input['alternatives'];
  if (Array.isArray(alternatives) && alternatives.length <= maxAlternatives) {
    for (const alternative of alternatives as readonly unknown[]) bytes += leastOf(alternative);
  }
  const attachments = input['attachments'];
  if (!Array.isArray(attachments) || attachments.length > maxAttachments) return bytes;
  for (const attachment of attachments as readonly unknown[]) bytes += leastOf(attachment);
  return bytes;
}

/** A character of text is at least a byte; four of base64 are three, and wrapped lines take a little. */
function leastOf(content: unknown): number {
  if (typeof content === 'string') return content.length;
  if (isBytes(content)) return content.byteLength;
  if (!isRecord(content)) return 0;
  const inner = content['content'];
  if (isBytes(inner)) return inner.byteLength;
  if (typeof inner !== 'string') return 0;
  return content['encoding'] === 'base64' ? Math.floor((inner.length * 2) / 3) : inner.length;
}
