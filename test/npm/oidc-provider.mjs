// A real OpenID provider (npm: oidc-provider, certified) on a free port of
// loopback, for tests. It prints its issuer as JSON, and serves once it has been
// told by POST /configure, as JSON, where its client may be answered and who
// its people are: {"redirect_uris": [...], "accounts": {"sub": {claims}}}.
// POST /configure again changes the people. It ends with its stdin.
import http from 'node:http';
import Provider from 'oidc-provider';

let accounts = {};
let serve = (req, res) => { res.statusCode = 503; res.end(); };

const server = http.createServer(async (req, res) => {
  if (req.method !== 'POST' || req.url !== '/configure') return serve(req, res);
  let body = '';
  for await (const piece of req) body += piece;
  const told = JSON.parse(body);
  accounts = told.accounts;
  if (told.redirect_uris) serve = provider(told.redirect_uris).callback();
  res.end('{}');
});

server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ issuer: `http://127.0.0.1:${server.address().port}` }));
});
process.stdin.on('end', () => process.exit(0)).resume();

function provider(redirect_uris) {
  const { port } = server.address();
  const made = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: 'gatehouse', client_secret: 'a secret of at least 32 characters, for tests', redirect_uris,
      grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
    }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    findAccount: (ctx, sub) => accounts[sub] && { accountId: sub, claims: () => ({ sub, ...accounts[sub] }) },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    cookies: { keys: ['for tests'] },
    ttl: { AccessToken: 60, Grant: 3600, IdToken: 300, Interaction: 600, RefreshToken: 3600, Session: 3600 },
  });
  made.on('server_error', (ctx, err) => console.error(err));
  return made;
}
