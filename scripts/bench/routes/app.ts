/** An instance for the benchmark: answers on port 3000 of the address that it is given. */
import { createServer } from 'node:http';

createServer((_request, response) => response.end('ok')).listen(3000, process.argv[2], () => process.send?.('up'));
process.on('disconnect', () => process.exit());
