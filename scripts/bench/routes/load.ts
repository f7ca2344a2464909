/** A steady load in a process of its own, so that it does not hold up what is measured: `load.ts HOST PER_SECOND`; prints JSON when its stdin ends. */
import { startSteadyLoad } from '../../demo/steady-load.ts';

const [host = '', perSecond = '1000'] = process.argv.slice(2);
const load = startSteadyLoad({ port: 80, host, path: '/' }, Number(perSecond));
process.stdin.resume();
process.stdin.on('end', () => {
  void load
    .stop()
    .then(({ requests, failed, failures }) => console.log(JSON.stringify({ requests, failed, failures })));
});
