import type { UserClaims } from '../core/user-claims.ts';

/** A session and what its access tokens say about the user. Times are milliseconds since the epoch, database time. */
export type SessionRecord = {
  id: string;
  userId: string;
  claims: UserClaims;
  userStatus: 'active' | 'banned';
  createdAt: number;
  /** When the user last showed who they are: the `auth_time` of OpenID Connect Core §2. */
  authenticatedAt: number;
  /** How (RFC 8176). */
  amr: string[];
  /** How strongly, by name; null if the way has no name. */
  acr: string | null;
  lastSeenAt: number;
  expiresAt: number;
  idleExpiresAt: number;
  ended: boolean;
  /** Never decreases; increases with every change that makes cached copies invalid. */
  version: number;
};

/** Where a list of sessions goes on: microseconds since the epoch, and a session's id. */
export const CURSOR_PATTERN = '^[0-9]{1,16}\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';

export const SEEN_EVERY_MS = 60_000;

/** When the session ends if it is not used again. A use may put that off, but never past `expiresAt`. */
export function endsAt({
  expiresAt,
  idleExpiresAt,
}: Pick<SessionRecord, 'expiresAt' | 'idleExpiresAt'>): number {
  return Math.min(expiresAt, idleExpiresAt);
}

/** Whether the session may still be used at `now`. The instant of expiry itself is too late (RFC 7519 §4.1.4). */
export function isLive(session: SessionRecord, now: number): boolean {
  return !session.ended && session.userStatus === 'active' && now < endsAt(session);
}

/** Whether the use at `now` is worth a write: at most one a minute. */
export function isSeenDue(session: SessionRecord, now: number): boolean {
  return now - session.lastSeenAt >= SEEN_EVERY_MS;
}
