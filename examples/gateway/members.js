/**
 * A service that knows nothing about tokens. It trusts the gateway's headers about the user, so it must be reachable
 * only through the gateway.
 */
import { createServer } from 'node:http';

const { PORT = '4003', HOST = '127.0.0.1' } = process.env;

const server = createServer((request, response) => {
  const { 'x-auth-subject': subject, 'x-auth-email': email } = request.headers;
  response.setHeader('content-type', 'application/json');
  // Doorward percent-encodes characters that are not ASCII.
  response.end(JSON.stringify({ subject, email: decodeURIComponent(email ?? '') }));
});

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
server.listen(Number(PORT), HOST);
