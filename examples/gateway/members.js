/**
 * A service that knows nothing of tokens. It takes the gateway's word for who the user is, so it must be reachable through
 * the gateway alone.
 */
import { createServer } from 'node:http';

const { PORT = '4003', HOST = '127.0.0.1' } = process.env;

const server = createServer((request, response) => {
  const { 'x-auth-subject': subject, 'x-auth-email': email } = request.headers;
  response.setHeader('content-type', 'application/json');
  // Doorward percent-encodes what is not ASCII.
  response.end(JSON.stringify({ subject, email: decodeURIComponent(email ?? '') }));
});

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
server.listen(Number(PORT), HOST);
