import Type, { type Static } from 'typebox';
import type { AuditService } from '../audit/audit-service.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { Lane, LaneSettings } from '../outbox/outbox-lane.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { RoleHolder, RoleHoldersStore } from './role-holders-store.ts';

const RoleSpread = Type.Object({
  role: Type.String(),
  /** Who has removed the role, and so takes it from these users; null if only its scopes have changed. */
  removedBy: Type.Union([
    Type.Null(),
    Type.Object({
      kind: Type.Enum(['user', 'client', 'operator', 'server']),
      id: Type.Union([Type.String(), Type.Null()]),
    }),
  ]),
  /** The last of the users that are done; null at the beginning. */
  after: Type.Union([Type.Null(), Type.Object({ micros: Type.String(), id: Type.String() })]),
});
type RoleSpread = Static<typeof RoleSpread>;

/** Brings the change of a role to the users who have it. */
export type RoleSpreadLane = Lane<typeof RoleSpread>;

/** Few enough for a transaction on a busy machine, far from its deadline. */
const USERS_AT_ONCE = 100;

type RoleSpreadParts = {
  outbox: OutboxService;
  holders: RoleHoldersStore;
  sessions: Pick<SessionService, 'claimsOfManyChanged'>;
  audit: AuditService;
  transact: Transact;
};

/**
 * Opens the outbox lane that follows a change of a role: 100 users at a time, in the order of their accounts, it makes their
 * earlier tokens void, and takes the role from them if it was removed. Each part is a transaction that also writes the message
 * for the next part, so it goes on where it was if the process dies, at any replica, and holds no lock for long.
 */
export function openRoleSpread({
  outbox,
  holders,
  sessions,
  audit,
  transact,
}: RoleSpreadParts): RoleSpreadLane {
  const lane: RoleSpreadLane = outbox.openLane({
    kind: 'role_changed',
    payload: RoleSpread,
    deliver: (spread) => transact((transaction) => deliverIn(transaction, spread)),
    isAwaited: false,
    // Also the order of two changes of one role does not matter: each reads the users as they are.
    atOnce: 1,
    deadlineMs: 5_000,
    // For an hour.
    retry: { firstDelayMs: 500, maxDelayMs: 10_000, maxAttempts: 400 },
  } satisfies LaneSettings<typeof RoleSpread>);
  return lane;

  async function deliverIn(transaction: Transaction, spread: RoleSpread): Promise<void> {
    const { role, removedBy, after } = spread;
    const found = await holders.lockHolders(transaction, role, { after, limit: USERS_AT_ONCE });
    const last = found.at(-1);
    if (last === undefined) return;
    if (removedBy !== null) await take(transaction, role, found, removedBy);
    await sessions.claimsOfManyChanged(
      transaction,
      found.map(({ id }) => id),
    );
    await lane.send(transaction, { ...spread, after: { micros: last.micros, id: last.id } });
  }

  async function take(
    transaction: Transaction,
    role: string,
    found: RoleHolder[],
    { kind, id }: NonNullable<RoleSpread['removedBy']>,
  ): Promise<void> {
    await holders.take(
      transaction,
      role,
      found.map((user) => user.id),
    );
    for (const { id: userId, roles: before } of found)
      await audit.record(transaction, {
        kind: 'account.roles_changed',
        ...{ userId, actorKind: kind, actorId: id },
        details: { before, after: before.filter((name) => name !== role) },
      });
  }
}
