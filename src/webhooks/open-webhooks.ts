import type { Platform } from '../adapters/platform.ts';
import type { RecordedEvent } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { within } from '../core/deadline.ts';
import type { Transaction } from '../db/database.ts';
import { guardStore } from '../db/database-guard.ts';
import { tryLock } from '../db/locks.ts';
import type { Sweep } from '../db/sweep.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { eventTypesOf, isWanted } from './webhook-event.ts';
import { webhookLane } from './webhook-lane.ts';
import { createWebhookReceiver } from './webhook-receiver.ts';
import { createWebhookStore } from './webhook-store.ts';

/** What a message under way gets at the end of the server. Then it fails, and goes out at the next start. */
const CLOSE_WITHIN_MS = 1_000;

/** How long operators can see that a message could not be delivered. */
const KEEP_DEAD_MS = 30 * 24 * 3_600_000;

type Others = { outbox: OutboxService; audit: AuditService };

/**
 * What happens, told to a URL of the operator: each act that is wanted is written into the outbox in the transaction of the
 * act itself. Without `EVENTS_WEBHOOK_URL` nothing is written.
 */
export function openWebhooks({ config, database, guard, clock }: Platform, { outbox, audit }: Others) {
  const {
    EVENTS_WEBHOOK_URL: url,
    EVENTS_WEBHOOK_SECRET: secrets = [],
    EVENTS_WEBHOOK_TYPES: wanted,
  } = config;
  const receiver = url === undefined ? null : createWebhookReceiver({ url, secrets, now: clock.now });
  const store = guardStore('webhooks', createWebhookStore(database), guard);
  const ending = new AbortController();
  const lane = outbox.openLane(webhookLane({ store, audit, receiver, ending: ending.signal }));
  const sweep: Sweep = async (transaction, limit) => {
    if (!(await tryLock(transaction, 'sweepDeadWebhooks'))) return 0;
    return lane.sweepDead(transaction, KEEP_DEAD_MS, limit);
  };
  if (receiver !== null) audit.listen(tell);
  return {
    sweeps: [sweep],
    /** To be called before the outbox closes, which waits for everything that is under way. */
    async close(): Promise<void> {
      const late = () => new Error('the receiver took too long');
      await within(lane.close(), CLOSE_WITHIN_MS, late).catch((error: Error) => ending.abort(error));
    },
  };

  async function tell(transaction: Transaction, event: RecordedEvent): Promise<void> {
    const types = eventTypesOf(event).filter((type) => isWanted(type, wanted));
    const about = {
      happenedAt: new Date(clock.now()).toISOString(),
      eventId: event.id,
      userId: event.userId,
    };
    await lane.send(transaction, ...types.map((type) => ({ type, ...about })));
  }
}
