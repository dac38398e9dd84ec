/** The files that the example set attaches: generated, the same bytes in every run. */
import { createHash } from 'node:crypto';

export interface ExampleFile {
  readonly filename: string;
  readonly contentType: string;
  readonly content: Buffer<ArrayBuffer>;
  readonly cid?: string;
}

/** A real picture: 2 × 2 pixels. */
const logoPng = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAFklEQVR4nGP8z8DwnwEImBigAMRgYAAALuoCA7lWr/UAAAAASUVORK5CYII=',
  'base64',
);

export const logo: ExampleFile = {
  filename: 'logo.png',
  contentType: 'image/png',
  content: logoPng,
  cid: 'logo@example.org',
};

/** Some 700 bytes: travels inside the job. */
export function statement(n: number): ExampleFile {
  const lines = Array.from(
    { length: 24 },
    (_, i) => `${i + 1};2026-${String((i % 12) + 1).padStart(2, '0')};${n * 37 + i};EUR`,
  );
  return {
    filename: `Kontoübersicht ${n}.csv`,
    contentType: 'text/csv; charset=utf-8',
    content: Buffer.from(`Nr.;Monat;Betrag;Währung\r\n${lines.join('\r\n')}\r\n`),
  };
}

/** 90 KiB, different for every invoice: above the 64 KiB that travel inside a job, so it is stored by its hash. */
export function invoicePdf(n: number): ExampleFile {
  return {
    filename: `invoice-${2026_0000 + n}.pdf`,
    contentType: 'application/pdf',
    content: Buffer.concat([Buffer.from('%PDF-1.7\n'), noise(`invoice ${n}`, 90 * 1024)]),
  };
}

/** 200 KiB, the same for every message: stored once, however many messages carry it. */
export function priceList(): ExampleFile {
  return {
    filename: 'price-list-2026.pdf',
    contentType: 'application/pdf',
    content: Buffer.concat([Buffer.from('%PDF-1.7\n'), noise('price list', 200 * 1024)]),
  };
}

/** Bytes that any compression or text handling would change. */
function noise(seed: string, size: number): Buffer<ArrayBuffer> {
  const blocks: Buffer<ArrayBuffer>[] = [];
  for (let i = 0; i * 32 < size; i++) blocks.push(createHash('sha256').update(`${seed} ${i}`).digest());
  return Buffer.concat(blocks).subarray(0, size);
}
