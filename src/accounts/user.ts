/** An account, without its password. */
export type User = {
  id: string;
  /** Canonical. */
  email: string;
  emailAsTyped: string;
  emailVerifiedAt: Date | null;
  status: 'active' | 'banned';
  createdAt: Date;
};
