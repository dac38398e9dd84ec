/** Owns iCalendar objects for tests: what a calendar program writes. */

/** A meeting with two guests; lines are folded and end in LF, as programs on Unix write them. */
export function meeting(method: string | null = 'REQUEST', lines: readonly string[] = []): string {
  return [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//Example Corp//Planner 3//EN',
    ...(method === null ? [] : [`METHOD:${method}`]),
    'BEGIN:VEVENT',
    'UID:planning-17@example.com',
    'DTSTAMP:20300110T090000Z',
    'DTSTART:20300131T080000Z',
    'DTEND:20300131T090000Z',
    'SUMMARY:Größe der Räume',
    'DESCRIPTION:A line that is longer than seventy-five octets\\, so that it is f',
    ' olded in the middle of a word',
    'ORGANIZER;CN=Sales:mailto:sales@example.com',
    'ATTENDEE;RSVP=TRUE;CN=Zoë:mailto:zoe@example.net',
    'ATTENDEE;RSVP=TRUE:mailto:bob@example.net',
    ...lines,
    'END:VEVENT',
    'END:VCALENDAR',
    '',
  ].join('\n');
}

/** The same with the line ends of a mail. */
export function withCrlf(text: string): string {
  return text.replaceAll('\n', '\r\n');
}
