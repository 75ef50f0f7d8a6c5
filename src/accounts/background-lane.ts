import Type, { type Static } from 'typebox';

/** A wish for a mail, of somebody who may own the address or not. */
export const MailWish = Type.Object({
  /** Canonical. */
  email: Type.String(),
  /** The `Accept-Language` of the request. */
  languages: Type.Union([Type.String(), Type.Null()]),
});

export type MailWish = Static<typeof MailWish>;

/**
 * The settings of lanes whose work would tell by its time whether an address has an account: no answer waits for it. A part
 * of the database's time is for the requests. The attempts take about an hour.
 */
export const IN_BACKGROUND = {
  isAwaited: false,
  atOnce: 4,
  deadlineMs: 5_000,
  retry: { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAttempts: 60 },
};
