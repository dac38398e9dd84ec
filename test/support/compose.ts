/** Owns composing for tests: the bytes of a message that can be sent. */
import { composeMail, type ComposeOptions } from '../../src/message/compose.ts';
import type { Message } from '../../src/message/message.ts';

/** Throws with the reason if the message cannot be sent. */
export async function composedMail(message: Message, options: ComposeOptions): Promise<Buffer> {
  const composed = await composeMail(message, options);
  if (!composed.ok) throw new Error(composed.problem);
  return composed.value;
}
