/** Where a session was started from, as far as the request told. */
export type Device = { ip: string; userAgent: string | null };
