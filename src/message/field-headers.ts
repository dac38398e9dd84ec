/** Header fields that a message has by a property of its own, beside those of `headers`. */
import { unsubscribeHeaders } from './list-unsubscribe.ts';
import type { Importance, Message } from './message.ts';

/** X-Priority for programs that know no Importance (RFC 2156 section 5.3.4): Outlook and Apple Mail read either. */
const importanceHeaders: Readonly<Record<Importance, Readonly<Record<string, readonly string[]>>>> = {
  high: { Importance: ['high'], 'X-Priority': ['1'] },
  normal: {},
  low: { Importance: ['low'], 'X-Priority': ['5'] },
};

type Given = Pick<Message, 'importance' | 'listUnsubscribe'>;

/** All header fields of a message but those that every mail has. */
export function headersOf(message: Given & Pick<Message, 'headers'>): Message['headers'] {
  const { importance, listUnsubscribe } = message;
  if (importance === undefined && listUnsubscribe === undefined) return message.headers;
  return {
    ...message.headers,
    ...(importance === undefined ? {} : importanceHeaders[importance]),
    ...(listUnsubscribe === undefined ? {} : unsubscribeHeaders(listUnsubscribe)),
  };
}

const namesByProperty = {
  importance: ['importance', 'x-priority', 'x-msmail-priority', 'priority'],
  listUnsubscribe: ['list-unsubscribe', 'list-unsubscribe-post'],
} as const;

/** Names in `headers` that say once more what a property says, with the property. */
export function doubledHeaders(
  given: { readonly [K in keyof Given]?: unknown },
  headers: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly property: string }[] {
  return (['importance', 'listUnsubscribe'] as const).flatMap((property) => {
    if (given[property] === undefined) return [];
    const names: readonly string[] = namesByProperty[property];
    return Object.keys(headers)
      .filter((name) => names.includes(name.toLowerCase()))
      .map((name) => ({ name, property }));
  });
}
