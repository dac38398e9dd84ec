/** Compares the mails at the servers with the messages as they were sent, using another library than the one that composed them. */
import type { AddressObject, EmailAddress } from 'mailparser';
import { check, type Check, type Notes } from './checks.ts';
import { comparable, messageIdOf, withoutHash, type Case, type Copy, type Findings } from './evidence.ts';
import type { Person } from './people.ts';

/** A time inside a UUIDv7: its first 48 bits are ms since the epoch (RFC 9562 section 5.7). */
const uuidV7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7/;

export function contentChecks({ cases }: Findings): Check[] {
  const finished = cases.filter(({ example }) => example.rawAtServer !== null);
  const composed = cases.filter(({ example }) => example.rawAtServer === null);
  const each = (
    title: string,
    among: readonly Case[],
    look: (notes: Notes, one: Case, copy: Copy, about: string) => void,
  ): Check =>
    check(title, (notes) => {
      for (const one of among) {
        for (const copy of one.copies) look(notes, one, copy, `${one.example.kind} (${one.id})`);
      }
    });
  return [
    each('Message-ID and Date follow from the id', composed, (notes, one, { parsed }, about) => {
      notes.same(`${about}: Message-ID`, withoutHash(parsed.messageId ?? ''), messageIdOf(one));
      notes.same(`${about}: Message-ID of its status`, parsed.messageId, one.status?.messageId);
      notes.holds(dateFits(one, parsed.date), `${about}: Date is ${parsed.date?.toISOString() ?? 'missing'}`);
    }),
    each('names and addresses are unchanged', composed, (notes, one, { parsed }, about) => {
      const { mail, sender } = one.example;
      const from = sender.from ?? { name: systemName, address: sender.address };
      notes.same(`${about}: From`, mailboxes(parsed.from), [plain(from)]);
      notes.same(`${about}: To`, mailboxes(parsed.to), (mail.to ?? []).map(plain));
      notes.same(`${about}: Cc`, mailboxes(parsed.cc), (mail.cc ?? []).map(plain));
      notes.same(`${about}: Reply-To`, mailboxes(parsed.replyTo), (mail.replyTo ?? []).map(plain));
    }),
    each('subjects, texts and HTML are unchanged', composed, (notes, { example }, { parsed }, about) => {
      notes.same(`${about}: Subject`, parsed.subject, example.mail.subject);
      notes.same(`${about}: text`, lines(parsed.text), lines(example.mail.text));
      notes.same(`${about}: HTML`, lines(parsed.html || undefined), lines(example.mail.html));
    }),
    each('attachments arrived byte for byte', composed, (notes, { example }, { parsed }, about) => {
      const expected = example.mail.attachments ?? [];
      notes.same(`${about}: files`, parsed.attachments.length, expected.length);
      for (const [index, file] of expected.entries()) {
        const actual = parsed.attachments[index];
        notes.same(`${about}: file name`, actual?.filename, file.filename);
        notes.same(`${about}: Content-ID`, actual?.cid, file.cid);
        notes.holds(actual?.content.equals(file.content) === true, `${about}: ${file.filename} was altered`);
      }
    }),
    each('headers and threads are unchanged', composed, (notes, { example }, { parsed }, about) => {
      for (const [field, value] of Object.entries(example.mail.headers ?? {})) {
        const line = parsed.headerLines.find(({ key }) => key === field.toLowerCase())?.line;
        notes.same(`${about}: ${field}`, line?.replace(/^[^:]+:\s*/, ''), value);
      }
      const references = [parsed.references ?? []].flat();
      notes.same(`${about}: In-Reply-To`, parsed.inReplyTo, example.mail.inReplyTo);
      notes.same(`${about}: References`, references, [...(example.mail.references ?? [])]);
    }),
    each('no copy shows a Bcc recipient', cases, (notes, { example }, { parsed, bytes }, about) => {
      notes.holds(parsed.bcc === undefined, `${about}: there is a Bcc header`);
      const hidden =
        example.rawAtServer === null
          ? (example.mail.bcc ?? []).map((each) => each.address)
          : example.recipients.slice(1);
      const leaked = hidden.filter((address) => bytes.includes(address));
      notes.same(`${about}: Bcc addresses in the mail`, leaked, []);
    }),
    each(
      'finished messages arrived byte for byte, except for Bcc',
      finished,
      (notes, { example }, { bytes }, about) => {
        notes.same(about, bytes.toString(), example.rawAtServer);
      },
    ),
  ];
}

/** The display name of the unmonitored address, as the quick start configures it. */
export const systemName = 'Example Ltd';

/**
 * The Date header has whole seconds. A scheduled message has its `sendAt`. An id that is not a UUIDv7 has no time; the time of
 * enqueueing counts then.
 */
function dateFits({ example, id, before, after }: Case, date: Date | undefined): boolean {
  if (date === undefined) return false;
  const second = Math.floor(date.getTime() / 1000);
  if (example.mail.sendAt !== undefined) return second === Math.floor(example.mail.sendAt.getTime() / 1000);
  const time = uuidV7.exec(id);
  if (time !== null) return second === Math.floor(Number.parseInt(`${time[1]}${time[2]}`, 16) / 1000);
  return second >= Math.floor(before / 1000) && second <= Math.floor(after / 1000);
}

function mailboxes(header: AddressObject | readonly AddressObject[] | undefined): Person[] {
  const objects: readonly AddressObject[] = header === undefined ? [] : [header].flat();
  return objects.flatMap(({ value }) =>
    value.map(({ name, address }: EmailAddress) => plain({ name, address: address ?? '' })),
  );
}

function plain({ name, address }: Person): Person {
  return { name, address: comparable(address) };
}

/** Line ends are CRLF on the wire, and the transport adds the last one. */
function lines(text: string | undefined): string | undefined {
  return text?.replaceAll('\r\n', '\n').replace(/\n+$/, '');
}
