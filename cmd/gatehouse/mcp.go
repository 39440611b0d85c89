package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/internal/api/client"
	"gatehouse/internal/api/listenfile"
	"gatehouse/internal/config"
	"gatehouse/internal/fault"
	"gatehouse/internal/mcptest"
)

func (a *app) mcp() *cobra.Command {
	return a.group("mcp", "MCP servers: test one, ask one, see what was called",
		a.mcpTest(), a.mcpStress(), a.mcpTools(), a.mcpCall(), a.mcpServers(), a.mcpSeen(), a.mcpCalls())
}

// maxToken bounds an access token in a file.
const maxToken = 64 << 10

// mcpAccess is how the endpoint of a command is found, and who asks there.
type mcpAccess struct {
	tokenFile string
	signIn    bool
}

func (m *mcpAccess) bind(f *pflag.FlagSet) {
	f.StringVar(&m.tokenFile, "token-file", "", "`FILE` with the access token for the endpoint; - is stdin")
	f.BoolVar(&m.signIn, "sign-in", false, "sign in for the endpoint, in a browser, before anything is asked (on a terminal that happens by itself)")
}

const mcpAccessHelp = "\n\nThe endpoint is this machine's Gatehouse (https://localhost/mcp) unless a URL is named. Who asks: the token of --token-file or --token;\n" +
	"else OAUTH_ACCESS_TOKEN or the stored sign-in, if it is for exactly this endpoint; else, on a terminal, whoever signs in."

// mcpTarget is an endpoint as it is asked.
type mcpTarget struct {
	url       string
	token     string
	transport http.RoundTripper
}

// mcpEndpoint is the endpoint named, or this machine's own.
func (a *app) mcpEndpoint(named string, settings *config.Client) (string, error) {
	if named != "" {
		u, err := url.Parse(named)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			return "", usage("%q is no URL of an MCP endpoint: write it like https://mcp.example.com/mcp", named)
		}
		return named, nil
	}
	at := first(a.flags.url, settings.URL)
	if at == "" {
		l, err := listenfile.Read(settings.DataDir)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
		at = first(l.HTTPS, l.HTTP, "https://localhost")
	}
	u, err := client.ParseURL(at)
	if err != nil {
		return "", err
	}
	return u.String() + "/mcp", nil
}

// mcpTarget finds the endpoint and a token for it. It may ask a person to sign in.
func (a *app) mcpTarget(ctx context.Context, named string, access mcpAccess) (mcpTarget, error) {
	if a.flags.local {
		return mcpTarget{}, usage("--local counts at the API and not at an MCP endpoint: leave it out")
	}
	settings, err := config.LoadClient(a.source(nil))
	if err != nil {
		return mcpTarget{}, err
	}
	t := mcpTarget{}
	if t.url, err = a.mcpEndpoint(named, settings); err != nil {
		return t, err
	}
	if t.transport, err = a.transport(settings); err != nil {
		return t, err
	}
	if a.flags.dryRun {
		return t, nil
	}
	if t.token, err = a.mcpToken(ctx, t, access, settings); err != nil || t.token != "" {
		return t, err
	}
	_, person := terminal(a.err)
	if access.signIn || person && a.mcpWantsToken(ctx, t) {
		t.token, err = a.mcpSignIn(ctx, t)
	}
	return t, err
}

// mcpToken is the token that was given for the endpoint; empty: none was.
func (a *app) mcpToken(ctx context.Context, t mcpTarget, access mcpAccess, settings *config.Client) (string, error) {
	switch {
	case access.tokenFile != "":
		return a.readToken("token-file", access.tokenFile)
	case a.flags.token != "":
		return a.flags.token, nil
	case settings.AccessToken.Reveal() != "":
		if token := settings.AccessToken.Reveal(); isFor(token, t.url) {
			return token, nil
		}
		return "", nil
	}
	conn, err := a.connect()
	if err != nil || conn.keeper == nil {
		return "", err
	}
	if pair, err := conn.keeper.Pair(); err != nil || !isFor(pair.Access, t.url) {
		return "", err
	}
	return conn.keeper.Token(ctx)
}

// readToken reads a token from a file, or from stdin.
func (a *app) readToken(flag, name string) (string, error) {
	if name == "-" {
		line, err := readLine(a.in)
		if err != nil || strings.TrimSpace(line) == "" {
			return "", usage("--%s -: give the token as the first line of stdin", flag)
		}
		return strings.TrimSpace(line), nil
	}
	text, err := a.readFile(name)
	token := strings.TrimSpace(string(text))
	if err != nil || token == "" || len(text) > maxToken || strings.ContainsAny(token, "\r\n\x00 ") {
		return "", usage("--%s %s does not hold an access token that can be read", flag, name)
	}
	return token, nil
}

// isFor reports whether a token says that it is for this endpoint. A token that is
// for something else is never sent there: whoever has it could use it.
func isFor(token, endpoint string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var claims struct {
		Audience any `json:"aud"`
	}
	if json.Unmarshal(body, &claims) != nil {
		return false
	}
	want := strings.TrimSuffix(endpoint, "/")
	switch aud := claims.Audience.(type) {
	case string:
		return strings.TrimSuffix(aud, "/") == want
	case []any:
		return slices.ContainsFunc(aud, func(v any) bool {
			s, _ := v.(string)
			return strings.TrimSuffix(s, "/") == want
		})
	}
	return false
}

// mcpWantsToken reports whether the endpoint lets nobody in who has no token.
func (a *app) mcpWantsToken(ctx context.Context, t mcpTarget) bool {
	report, err := mcptest.Test(ctx, mcptest.Options{URL: t.url, Transport: t.transport, Category: mcptest.None, Timeout: a.flags.timeout})
	return err == nil && report.SignIn
}

// mcpSignIn has a person sign in for the endpoint.
func (a *app) mcpSignIn(ctx context.Context, t mcpTarget) (string, error) {
	flow := client.SignIn{Transport: t.transport, Show: a.prompt}
	var err error
	if flow.Server, flow.Resource, err = client.DiscoverResource(ctx, flow.Transport, t.url); err != nil {
		return "", err
	}
	pair, err := flow.Run(ctx)
	return pair.Access, err
}
