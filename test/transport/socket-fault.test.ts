/** What the error code of a socket means for its connector. */
import { expect, test } from 'vitest';
import { classifySocketFault } from '../../src/transport/socket-fault.ts';

test.for<[string | null, string]>([
  ['ECONNREFUSED', 'unreachable'],
  ['ENOTFOUND', 'unreachable'],
  ['ETIMEDOUT', 'unreachable'],
  [null, 'unreachable'],
  ['CERT_HAS_EXPIRED', 'tls'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'tls'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls'],
  ['EPROTO', 'tls'],
])('classifies the socket fault %s as %s', ([code, fault]) => expect(classifySocketFault(code)).toBe(fault));
