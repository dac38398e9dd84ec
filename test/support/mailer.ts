/** Owns what tests of the transport for nodemailer share: its types over all releases, files and URLs, and what a reader sees of a mail. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ParsedMail } from 'mailparser';
import { beforeAll } from 'vitest';
import type { PostlaneMailInfo } from '../../src/nodemailer.ts';

/** What all releases of nodemailer have in common, as far as it is used here. */
export interface AnyNodemailer {
  createTransport(transport: unknown, defaults?: object): AnyTransporter;
}

export interface AnyTransporter {
  sendMail(mail: object): Promise<PostlaneMailInfo>;
  sendMail(mail: object, callback: (error: Error | null, info: PostlaneMailInfo) => void): void;
  verify(): Promise<true>;
  verify(callback: (error: Error | null, ready?: true) => void): void;
  close(): void;
  isIdle(): boolean;
  use(step: string, plugin: (mail: { data: Record<string, unknown> }, done: () => void) => void): unknown;
}

/** Text and HTML as lines, addresses, attachments and fields: what a reader of the mail can see. */
export function seen(parsed: ParsedMail): object {
  // nodemailer alone keeps Bcc in what it does not send.
  const own = new Set(['bcc', 'date', 'message-id', 'content-type', 'content-transfer-encoding', 'mime-version']);
  return {
    headers: [...parsed.headers].filter(([name]) => !own.has(name)).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    text: parsed.text?.trimEnd(),
    html: parsed.html,
    attachments: parsed.attachments.map(({ filename, contentType, contentDisposition, cid, content }) => ({
      filename,
      contentType,
      contentDisposition,
      cid,
      content: content.toString('base64'),
    })),
  };
}

export const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i) % 251));

export function filesAndUrls(): { readonly file: string; readonly url: () => string } {
  const place = { file: '', url: '' };
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postlane-mailer-'));
    place.file = join(folder, 'report.pdf');
    writeFileSync(place.file, bytes);
    const server = createServer((request, response) => {
      if (request.url === '/moved') return response.writeHead(302, { location: '/logo.png' }).end();
      if (request.url === '/missing') return response.writeHead(404).end();
      response.end(bytes.subarray(0, 5_000));
      return undefined;
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    place.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return () => {
      server.close();
      rmSync(folder, { recursive: true, force: true });
    };
  });
  return {
    get file() {
      return place.file;
    },
    url: () => place.url,
  };
}
