/** The faults of connectors, as values of a label. */
import type { FaultClass } from '../transport/transport.ts';

const everyFault: Readonly<Record<FaultClass, true>> = {
  unreachable: true,
  tls: true,
  auth: true,
  throttled: true,
  quota: true,
  blocked: true,
  config: true,
};
/** The values of the label `fault`; any other word in Redis is `other`. */
export const faultClasses = Object.keys(everyFault);
