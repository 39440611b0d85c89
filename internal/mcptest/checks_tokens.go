package mcptest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

func (r *run) refuses(ctx context.Context, authorization string) outcome {
	if s, out := r.guarded(ctx); s == nil {
		return out
	}
	if got := r.bearing(ctx, authorization); got.status != http.StatusUnauthorized {
		return breaks("%s", got.said())
	}
	return pass("")
}

const garbage = "gatehouse-no-such-token"

func checkGarbage(ctx context.Context, r *run) outcome { return r.refuses(ctx, "Bearer "+garbage) }

func checkGarbageError(ctx context.Context, r *run) outcome {
	if s, out := r.guarded(ctx); s == nil {
		return out
	}
	got := r.bearing(ctx, "Bearer "+garbage)
	all, _ := readChallenges(got.header.Values("WWW-Authenticate"))
	for _, c := range all {
		if c.scheme == "bearer" && c.params["error"] == "invalid_token" {
			return pass("")
		}
	}
	return breaks("it says %s", quote(got.header.Get("WWW-Authenticate")))
}

func (r *run) unsigned() string {
	part := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			panic("mcptest: " + err.Error()) // our own values
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	origin := r.url.Scheme + "://" + r.url.Host
	return part(params{"alg": "none", "typ": "at+jwt"}) + "." +
		part(params{"iss": origin, "sub": "gatehouse-test", "aud": origin + r.url.Path, "exp": 4102444800, "iat": 1700000000, "scope": "admin user mcp", "client_id": "x", "jti": "x"}) + "."
}

func checkUnsigned(ctx context.Context, r *run) outcome {
	return r.refuses(ctx, "Bearer "+r.unsigned())
}

func checkTampered(ctx context.Context, r *run) outcome {
	parts := strings.Split(r.opt.Token, ".")
	if len(parts) != 3 {
		return skip("there is no token that is a JWT")
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return skip("there is no token that is a JWT")
	}
	claims["sub"] = "gatehouse-somebody-else"
	changed, err := json.Marshal(claims)
	if err != nil {
		return skip("the token can't be changed")
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(changed)
	return r.refuses(ctx, "Bearer "+strings.Join(parts, "."))
}

func checkScheme(ctx context.Context, r *run) outcome {
	return r.refuses(ctx, "Basic "+base64.StdEncoding.EncodeToString([]byte("gatehouse:test")))
}

func checkQuery(ctx context.Context, r *run) outcome {
	if s, out := r.guarded(ctx); s == nil {
		return out
	}
	if r.opt.Token == "" || r.peer == nil {
		return skip("there is no token that lets anybody in")
	}
	if !r.opt.QueryToken {
		return skip("the token would stand in the server's log: --query-token tries all the same")
	}
	a := r.opening()
	a.from, a.query = nobody, "access_token="+url.QueryEscape(r.opt.Token)
	if got := r.forget(ctx, r.wire.send(ctx, a)); got.status != http.StatusUnauthorized {
		return breaks("%s", got.said())
	}
	return pass("")
}
