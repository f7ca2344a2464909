/** An instance for the benchmark: answers on port 3000 of the address that it is given; `/stream` begins an answer and never ends it. */
import { createServer } from 'node:http';

createServer((request, response) => {
  if (request.url === '/stream') response.write('begun\n');
  else response.end('ok');
}).listen(3000, process.argv[2]);
