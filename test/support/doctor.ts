/** The doctor in a test: what is wrong between ledger, queues, dead letters and contents once all is settled. */
import type { Finding } from '../../src/admin/doctor/findings.ts';
import { testOperator } from './postlane.ts';

/** Repairs nothing. */
export async function examine(prefix: string, senders: readonly string[] = ['relay']): Promise<Finding[]> {
  const operator = await testOperator(prefix);
  const options = { fix: false, now: Date.now, senders, lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
  const found: Finding[] = [];
  for await (const finding of operator.diagnose(options)) found.push(finding);
  return found;
}
