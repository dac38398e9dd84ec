/** The front door: what a process seals with, and what it can open. */
import { createKeyring, noKeys, type Keyring } from './keyring.ts';
import type { EncryptionKeys } from './keys.ts';
import { createSeal, type Seal } from './seal.ts';

export type { EncryptionKeys } from './keys.ts';

/** `require`: what is not sealed is refused. */
export interface EncryptionOptions extends EncryptionKeys {
  readonly require?: boolean;
}

export interface Sealing {
  readonly keyring: Keyring;
  /** null: nothing is sealed. */
  readonly seal: Seal | null;
  readonly required: boolean;
}

/** Seals nothing, and opens nothing. */
export const unsealed: Sealing = { keyring: noKeys, seal: null, required: false };

/** @throws PostlaneError `config-invalid` with every mistake */
export function createSealing(options: EncryptionOptions | null | undefined): Sealing {
  if (options === null || options === undefined) return unsealed;
  const keyring = createKeyring(options);
  const { sealing } = keyring;
  return { keyring, seal: sealing === null ? null : createSeal(sealing), required: options.require === true };
}
