/** What submission by SMTP reports: the log and the metrics subscribe to it. Nothing of a mail but its size and the count of its recipients. */
import type { ReplyName } from './replies.ts';

export type SubmissionEvent =
  | { readonly event: 'smtp-listening'; readonly host: string; readonly port: number; readonly security: string }
  /** `id` is in Redis. `user`: of the login, or of the network's listener. */
  | {
      readonly event: 'submitted';
      readonly id: string;
      readonly user: string;
      readonly address: string;
      readonly bytes: number;
      readonly recipients: number;
      readonly duplicate: boolean;
      /** From the end of data to the reply. */
      readonly durationMs: number;
    }
  /** `user` is null before a login. */
  | {
      readonly event: 'submission-refused';
      readonly user: string | null;
      readonly address: string;
      readonly reason: ReplyName;
      readonly code: number;
      readonly detail: string;
    }
  /** `user` is null if there is none of that name: some people type their password there. */
  | {
      readonly event: 'login-failed';
      readonly user: string | null;
      readonly address: string;
      readonly reason: 'wrong-login' | 'login-blocked' | 'login-busy' | 'unavailable';
    }
  /** The connection broke before the end of data. Nothing was stored. */
  | { readonly event: 'submission-aborted'; readonly user: string; readonly address: string; readonly bytes: number }
  | { readonly event: 'smtp-client-error'; readonly address: string | null; readonly detail: string }
  | { readonly event: 'smtp-draining'; readonly clients: number }
  | { readonly event: 'smtp-stopped'; readonly drained: boolean };

/** What a process has in hand. */
export interface SubmissionState {
  /** It listens, and Redis is there: a message would be taken. */
  readonly ready: boolean;
  readonly clients: number;
  readonly maxClients: number;
  readonly bytesHeld: number;
  readonly maxBytes: number;
}
