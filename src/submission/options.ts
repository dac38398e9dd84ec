/** The header fields `X-Postlane-…`: what a client that has no API may say of its message. They never leave the house. */
import { decodeEncodedWords } from '../message/encoded-words.ts';
import type { HeaderBlock } from '../message/header-block.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { headerText } from './sender.ts';

export type MessageOptions = Pick<OutboundMessage, 'id' | 'sendAt' | 'expiresAt' | 'priority' | 'metadata'>;

export type ReadOptions =
  | { readonly ok: true; readonly options: MessageOptions }
  | { readonly ok: false; readonly problem: string };

export const optionPrefix = 'x-postlane-';
const metadataPrefix = `${optionPrefix}metadata-`;

const single: ReadonlyMap<string, 'id' | 'sendAt' | 'expiresAt' | 'priority'> = new Map([
  [`${optionPrefix}id`, 'id'],
  [`${optionPrefix}send-at`, 'sendAt'],
  [`${optionPrefix}expires-at`, 'expiresAt'],
  [`${optionPrefix}priority`, 'priority'],
]);

/** Their values are judged by the producer, like those of any caller. An unknown one is an error: a misspelt one would do nothing. */
export function readOptions(fields: HeaderBlock['fields']): ReadOptions {
  const found = new Map<string, string>();
  const metadata = new Map<string, string>();
  for (const { name, value } of fields) {
    const lower = name.toLowerCase();
    if (!lower.startsWith(optionPrefix)) continue;
    const key = single.get(lower);
    const isMetadata = lower.startsWith(metadataPrefix) && lower.length > metadataPrefix.length;
    if (key === undefined && !isMetadata) return { ok: false, problem: `${name} is no option` };
    const [into, as] = key === undefined ? [metadata, lower.slice(metadataPrefix.length)] : [found, key];
    if (into.has(as)) return { ok: false, problem: `${name} is there twice` };
    into.set(as, decodeEncodedWords(headerText(value)));
  }
  const options = Object.fromEntries(found) as MessageOptions;
  return {
    ok: true,
    options: metadata.size === 0 ? options : { ...options, metadata: Object.fromEntries(metadata) },
  };
}
