/** Where a session was started from, as far as the request shows. */
export type Device = { ip: string; userAgent: string | null };
