/**
 * Sealed contents: large attachments and raw messages, in chunks that can be opened one by one.
 *
 *   header (64 bytes)   'PLC2', the print of the key, the length of its name and the name; in the last 16 bytes a salt, or zeros
 *   chunks              each 1 MiB of the content, the last one shorter, with a tag of 16 bytes
 *
 * The key is derived with the content's reference, which is a keyed hash of the content: the same content has the same key, the same
 * chunks, and is stored once. A nonce is the index of a chunk, and is never used for other bytes under that key. Reference, size and
 * index are authenticated with each chunk, so none can stand in another's place, and no end can be missing.
 *
 * A content that is sealed anew under another key keeps its reference, which messages name. That is the hash under a former key, and who
 * has that key could have put other bytes there before; so its key is derived with a random salt, too, and no nonce comes twice.
 */
import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto';
import { saltBytes, type Keyring, type KeyName, type SealingKey } from './keyring.ts';
import { isKeyName } from './keys.ts';
import { nonceBytes } from './nonces.ts';
import { tagBytes } from './seal.ts';

export const headerBytes = 64;
export const chunkBytes = 1024 * 1024;
const magic = 'PLC2';
const printLength = 8;
const saltAt = headerBytes - saltBytes;

/** What a header says: the key, and the salt of what was sealed anew. */
export interface ContentKeyName extends KeyName {
  readonly salt: Buffer | null;
}

/** Bytes in Redis of a content of so many bytes. */
export function sealedSize(size: number): number {
  return headerBytes + size + Math.ceil(size / chunkBytes) * tagBytes;
}

/** Bytes of the content that is stored in so many bytes. */
export function openSize(stored: number): number {
  const sealed = Math.max(0, stored - headerBytes);
  return sealed - Math.ceil(sealed / (chunkBytes + tagBytes)) * tagBytes;
}

/** The reference of a content that is sealed: no other reference begins with this letter. */
export function sealedRef(sealing: SealingKey, bytes: Buffer): string {
  return `s${sealing.digest(bytes)}`;
}

export function isSealedRef(ref: string): boolean {
  return ref.startsWith('s');
}

/** `turn` is awaited between chunks, so that a large content does not hold up the process. */
export async function sealContent(
  ref: string,
  bytes: Buffer,
  { name, print }: KeyName,
  keyring: Keyring,
  turn: () => Promise<void>,
): Promise<Buffer> {
  const named = { name, print, salt: null };
  const key = keyOfContent(ref, named, keyring)!;
  const sealed = Buffer.alloc(sealedSize(bytes.length));
  let at = headerOf(named).copy(sealed);
  for (let index = 0; index * chunkBytes < bytes.length; index += 1) {
    if (index > 0) await turn();
    const chunk = bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    at += sealChunks(chunk, { ref, size: bytes.length, first: index, name, key }).copy(sealed, at);
  }
  return sealed;
}

/** For a content that is sealed anew. */
export function anew({ name, print }: KeyName): ContentKeyName {
  return { name, print, salt: randomBytes(saltBytes) };
}

export function headerOf({ name, print, salt }: ContentKeyName): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.write(magic, 0, 'latin1');
  header.write(print, magic.length, 'latin1');
  header[magic.length + printLength] = name.length;
  header.write(name, magic.length + printLength + 1, 'latin1');
  salt?.copy(header, saltAt);
  return header;
}

/** What a header says; null if it is none. */
export function readHeader(header: Buffer): ContentKeyName | null {
  if (header.length < headerBytes || header.toString('latin1', 0, magic.length) !== magic) return null;
  const at = magic.length + printLength;
  const name = header.toString('latin1', at + 1, at + 1 + Math.min(header[at]!, saltAt - at - 1));
  if (!isKeyName(name)) return null;
  const salt = header.subarray(saltAt, headerBytes);
  const print = header.toString('latin1', magic.length, at);
  return { name, print, salt: salt.some((byte) => byte !== 0) ? Buffer.from(salt) : null };
}

/** Where the chunks are that have the bytes from `start` up to `end` of a content: their indexes, and their place in Redis. */
export function chunksOf(
  start: number,
  end: number,
  size: number,
): { readonly first: number; readonly from: number; readonly to: number } {
  const first = Math.floor(start / chunkBytes);
  const last = Math.floor((end - 1) / chunkBytes);
  const from = headerBytes + first * (chunkBytes + tagBytes);
  const to = Math.min(headerBytes + (last + 1) * (chunkBytes + tagBytes), sealedSize(size));
  return { first, from, to };
}

/** Chunks that follow each other: of which content, and from which index on. `name`: of their key. */
export interface Chunks {
  readonly ref: string;
  readonly size: number;
  readonly first: number;
  readonly name: string;
  readonly key: KeyObject;
}

/** Seals whole chunks, or the last one. */
export function sealChunks(bytes: Buffer, { ref, size, first, name, key }: Chunks): Buffer {
  const sealed: Buffer[] = [];
  for (let i = 0; i * chunkBytes < bytes.length; i += 1) {
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(first + i), { authTagLength: tagBytes });
    cipher.setAAD(aadOf(ref, name, size, first + i));
    sealed.push(cipher.update(bytes.subarray(i * chunkBytes, (i + 1) * chunkBytes)));
    cipher.final();
    sealed.push(cipher.getAuthTag());
  }
  return Buffer.concat(sealed);
}

/** Opens chunks. Null if one is not what was sealed in its place. */
export function openChunks(sealed: Buffer, { ref, size, first, name, key }: Chunks): Buffer | null {
  const opened: Buffer[] = [];
  const step = chunkBytes + tagBytes;
  for (let i = 0; i * step < sealed.length; i += 1) {
    const chunk = sealed.subarray(i * step, (i + 1) * step);
    const body = chunk.subarray(0, chunk.length - tagBytes);
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(first + i), { authTagLength: tagBytes });
    decipher.setAAD(aadOf(ref, name, size, first + i));
    try {
      decipher.setAuthTag(chunk.subarray(body.length));
      opened.push(decipher.update(body));
      decipher.final();
    } catch {
      return null;
    }
  }
  return opened.length === 1 ? opened[0]! : Buffer.concat(opened);
}

export function keyOfContent(ref: string, name: ContentKeyName, keyring: Keyring): KeyObject | null {
  const by = Buffer.from(ref, 'latin1');
  return keyring.derive(name, name.salt === null ? by : Buffer.concat([by, name.salt]), 'content');
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(nonceBytes);
  nonce.writeUInt32BE(index, nonceBytes - 4);
  return nonce;
}

function aadOf(ref: string, name: string, size: number, index: number): Buffer {
  return Buffer.from(`postlane content\n2\n${name}\n${ref}\n${size}\n${index}`);
}
