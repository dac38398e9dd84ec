/** The content of a MIME part as mailsplit gives it: without its transfer encoding, and as text. */
import type { MimeNode } from '@zone-eu/mailsplit';

/** Octets without base64 or quoted-printable; as they are where they cannot be decoded. */
export async function decodedOctets(node: MimeNode, octets: Buffer): Promise<Buffer> {
  if (node.encoding !== 'base64' && node.encoding !== 'quoted-printable') return octets;
  const decoder = node.getDecoder();
  const chunks: Buffer[] = [];
  decoder.end(octets);
  try {
    for await (const chunk of decoder as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {
    return octets;
  }
  return Buffer.concat(chunks);
}

/** In the charset that the part names, else in UTF-8, else octet by octet. */
export function textOfOctets(octets: Uint8Array, charset: string): string {
  for (const name of charset === '' || /^(?:us-)?ascii$/i.test(charset) ? ['utf-8'] : [charset, 'utf-8']) {
    try {
      return new TextDecoder(name, { fatal: true }).decode(octets);
    } catch {
      // Unknown to this Node, or not what the part says.
    }
  }
  return new TextDecoder('windows-1252').decode(octets);
}
