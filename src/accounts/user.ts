/** An account, without its password. */
export type User = {
  id: string;
  /** Canonical. */
  email: string;
  emailAsTyped: string;
  emailVerifiedAt: Date | null;
  status: 'active' | 'banned';
  createdAt: Date;
  displayName: string | null;
  /** The language that the user chose, as in RFC 5646. */
  locale: string | null;
  /** What the app keeps on its user. */
  metadata: Record<string, unknown>;
  /** When the password was seen in a list of leaked ones. */
  passwordBreachedAt: Date | null;
  /** When the account is to be deleted. */
  deletionDueAt: Date | null;
};
