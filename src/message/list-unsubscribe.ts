/** How a recipient unsubscribes: its schema, and the two header fields that it becomes (RFC 2369 section 3.2, RFC 8058). */
import { z } from 'zod';
import { parseAddress, type Parsed } from './address.ts';
import { maxUnsubscribeChars } from './bounds.ts';
import type { ListUnsubscribe } from './message.ts';
import { read, text } from './schema-kit.ts';

/** What ends a URL in the field, or the field itself. A URL parser would pass over some of it in silence. */
const unfit = /[^!-~]|[<>"\\^`{|}]/;

function fail(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}

function readUrl(given: string): Parsed<string> {
  if (given.length > maxUnsubscribeChars) return fail(`has more than ${maxUnsubscribeChars} characters`);
  if (unfit.test(given)) return fail('has characters that a URL has to encode, such as a blank or an angle bracket');
  if (!/^https:\/\/[^/?#@]+(?:[/?#]|$)/i.test(given) || !URL.canParse(given)) {
    return fail('is not an https URL (RFC 8058 section 3.1), or has a user in it');
  }
  return { ok: true, value: given };
}

/** An address, or `mailto:` with an address and perhaps a subject (RFC 6068). */
function readMailto(given: string): Parsed<string> {
  if (given.length > maxUnsubscribeChars) return fail(`has more than ${maxUnsubscribeChars} characters`);
  if (unfit.test(given)) return fail('has characters that a mailto URL has to encode, such as a blank or a line break');
  const [, path = '', query = ''] = /^(?:mailto:)?([^?]*)(\?.*)?$/i.exec(given) ?? [];
  // Another recipient or field in it would be one that the reader's program writes to unseen.
  if (query !== '' && !/^\?(?:subject|body)=[^&]*(?:&(?:subject|body)=[^&]*)?$/i.test(query)) {
    return fail('may have a subject and a body behind the address, and nothing else');
  }
  if (/%0[ad]/i.test(given) || path.includes('%')) return fail('has an encoded line break or an encoded address');
  const address = parseAddress(path);
  return address.ok ? { ok: true, value: `mailto:${address.value}${query}` } : fail(address.problem);
}

export const listUnsubscribe = read(
  z.strictObject({
    url: read(text, 'list-unsubscribe', readUrl)
      .optional()
      .meta({ description: 'An https URL that unsubscribes the recipient.', maxLength: maxUnsubscribeChars }),
    mailto: read(text, 'list-unsubscribe', readMailto)
      .optional()
      .meta({ description: 'An address to write to, or a mailto URL.', maxLength: maxUnsubscribeChars }),
    oneClick: z.boolean().optional().meta({
      description: 'A POST to the URL unsubscribes at once (RFC 8058). By default true where there is a URL.',
    }),
  }),
  'list-unsubscribe',
  ({ url, mailto, oneClick = url !== undefined }): Parsed<ListUnsubscribe> => {
    if (url === undefined && mailto === undefined) return fail('needs a url or a mailto');
    if (oneClick && url === undefined) return fail('needs a url for oneClick');
    return {
      ok: true,
      value: { ...(url === undefined ? {} : { url }), ...(mailto === undefined ? {} : { mailto }), oneClick },
    };
  },
);

/** The URL first: programs that can do both take the first (RFC 2369 section 2). */
export function unsubscribeHeaders({ url, mailto, oneClick }: ListUnsubscribe): Record<string, readonly string[]> {
  const ways = [url, mailto].filter((each) => each !== undefined).map((each) => `<${each}>`);
  return {
    'List-Unsubscribe': [ways.join(', ')],
    ...(oneClick ? { 'List-Unsubscribe-Post': ['List-Unsubscribe=One-Click'] } : {}),
  };
}
