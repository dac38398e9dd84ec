/** Verifies DKIM signatures by dkimpy (Debian's python3-dkim), which is not ours, with the public key in place of DNS. */
import { spawn, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { DkimSettings } from '../../src/message/dkim.ts';

const python = '/usr/bin/python3';

/** Tests that need the verifier are skipped without it. */
export const hasVerifier = spawnSync(python, ['-c', 'import dkim']).status === 0;

export function dkimKey(bits = 2_048): DkimSettings {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { domain: 'example.com', selector: 's1', privateKey: pem };
}

const program = `
import sys, dkim
name, record = sys.argv[1].encode(), sys.argv[2].encode()
def txt(asked, timeout=5):
    return record if asked.rstrip(b'.') == name else None
print('good' if dkim.verify(sys.stdin.buffer.read(), dnsfunc=txt) else 'bad')
`;

export async function verifies(bytes: Buffer, { domain, selector, privateKey }: DkimSettings): Promise<boolean> {
  const key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).toString('base64');
  const verifier = spawn(python, ['-c', program, `${selector}._domainkey.${domain}`, `v=DKIM1; k=rsa; p=${key}`]);
  verifier.stdin.end(bytes);
  const [out, err] = await Promise.all([text(verifier.stdout), text(verifier.stderr)]);
  if (out !== 'good\n' && out !== 'bad\n') throw new Error(`dkimpy failed: ${err}`);
  return out === 'good\n';
}
