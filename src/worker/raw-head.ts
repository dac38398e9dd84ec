/** Reads the header of a raw message, whether it travels in the job or is stored. */
import { inlineHead } from '../message/content.ts';
import type { Content } from '../message/message.ts';
import { headBytes, readRawHeader, type RawHeader } from '../message/raw.ts';
import type { Parsed } from '../message/address.ts';
import type { ContentStore } from '../queue/ledger/content.ts';

export async function readHead(raw: Content, contents: Pick<ContentStore, 'range'>): Promise<Parsed<RawHeader>> {
  const head = 'ref' in raw ? await contents.range(raw, 0, Math.min(raw.size, headBytes)) : inlineHead(raw, headBytes);
  return readRawHeader(head);
}
