/**
 * Message-IDs of other mails, as the programs of their senders made them: what can stand in a header is kept, the rest is left out.
 *
 * A reply must not fail because of the mail that it answers. RFC 5322 section 3.6.4 wants the id of the parent, whatever that
 * is: some have no @, nothing behind it, a blank or a comment. `<a><b>` is a list, as blanks between ids are optional.
 * Ids beyond ASCII are left out: they would demand SMTPUTF8 of every server on the way, for a thread that is shown in order.
 */
import { maxMessageIdBytes } from './bounds.ts';

/** The ids of a text, with their angle brackets. One pass. */
export function readMessageIds(text: string): string[] {
  const ids: string[] = [];
  const bare: string[] = [];
  /** Where an id in brackets begins; −1 outside of them. */
  let open = -1;
  let comments = 0;
  let word = '';
  const endWord = (): void => {
    if (word !== '') bare.push(word);
    if (word.includes('@')) keep(word, ids);
    word = '';
  };
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charAt(i);
    if (char === '<' && comments === 0) {
      endWord();
      open = i + 1;
    } else if (open >= 0) {
      if (char !== '>') continue;
      keep(text.slice(open, i), ids);
      open = -1;
    } else if (char === '(') comments += 1;
    else if (comments > 0) comments -= char === ')' ? 1 : 0;
    else if (/[\s,;>]/.test(char)) endWord();
    else word += char;
  }
  // `<a@b` has lost its end, and nothing else can be meant by it.
  if (open >= 0) word = text.slice(open);
  endWord();
  // A word alone may be an id without brackets; of several it is the phrase of an old program, such as `Your message of Monday`.
  const [only = ''] = bare;
  if (ids.length === 0 && bare.length === 1) keep(only, ids);
  return ids;
}

function keep(text: string, ids: string[]): void {
  const id = text.replaceAll(/[ \t]+/g, ' ').trim();
  if (id.length <= maxMessageIdBytes - 2 && /^[!-;=?-~]+(?: [!-;=?-~]+)*$/.test(id)) ids.push(`<${id}>`);
}
