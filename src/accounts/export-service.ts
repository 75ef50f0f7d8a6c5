import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Transact } from '../db/database.ts';
import type { GuessLimit } from '../passwords/guess-limit.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionHistory } from '../sessions/session-history.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import { writeExport } from './export-document.ts';
import type { ExportStore, StoredUser } from './export-store.ts';

/** An export reads all that is stored of a user. */
const BUDGET = { most: 10, windowMs: 3_600_000 };

type ExportServiceParts = {
  store: ExportStore;
  history: SessionHistory;
  codes: CodeService;
  audit: AuditService;
  limit: GuessLimit;
  transact: Transact;
  clock: DatabaseClock;
};

export type ExportService = ReturnType<typeof createExportService>;

/** Tells users all that is held on them. */
export function createExportService(parts: ExportServiceParts) {
  const { store, history, codes, audit, limit, transact, clock } = parts;

  return {
    /**
     * All that is held on the user, as the pieces of one JSON document. That it was asked for is on record, and in the
     * document, before its first piece.
     * @throws AppError `not_signed_in` when the account is gone; `rate_limited` after ten in an hour; `unavailable`
     */
    async export(session: SessionRecord, device: Device): Promise<AsyncGenerator<string>> {
      const { userId } = session;
      await limit.take({ kind: 'export', id: userId }, BUDGET);
      const user = await record(session, device);
      return writeExport(new Date(clock.now()), user, {
        sessions: history.listOf(userId),
        codes: codes.listOf(userId),
        audit_events: audit.listOf(userId),
      });
    },
  };

  /** The user is locked: no event with an address may come after the account is deleted. */
  function record({ userId, id: sessionId }: SessionRecord, device: Device): Promise<StoredUser> {
    return transact(async (transaction) => {
      const user = await store.lock(transaction, userId);
      if (user === null) throw new AppError('not_signed_in');
      const event = { kind: 'account.exported', userId, actorId: userId, sessionId, device } as const;
      await audit.record(transaction, event);
      return user;
    });
  }
}
