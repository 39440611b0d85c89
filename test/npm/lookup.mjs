// Loaded into every Node process of the tests (--import): names under localhost
// are loopback, as browsers and curl know them to be. glibc does not everywhere,
// and Node asks glibc.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';

const ask = dns.lookup;
dns.lookup = (hostname, ...rest) => ask(/(^|\.)localhost$/.test(hostname) ? '127.0.0.1' : hostname, ...rest);
syncBuiltinESMExports();
