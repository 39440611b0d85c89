package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

// home is the least environment: a place for data.
var home = []string{"HOME=/home/ann"}

func load(t *testing.T, environ ...string) *Config {
	t.Helper()
	c, err := Load(Source{Environ: append(home, environ...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNothingSetGivesTheDefaults(t *testing.T) {
	c := load(t)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	want := Config{
		DataDir: "/home/ann/.local/share/gatehouse",
		Listen: Listen{HTTPPort: 80, HTTPSPort: 443, API: "127.0.0.1:9000", Node: "auto", LocalhostPeers: loopback,
			BaseDomain: "localhost", InstancePorts: true, InstanceHost: "127.0.0.1"},
		Log: Log{Format: "auto", Retention: 168 * time.Hour, MaxEntries: 1000000, BodyMaxSize: 102400, MaskSensitive: true},
		ACME: ACME{DirectoryURL: "https://acme-v02.api.letsencrypt.org/directory",
			StagingURL: "https://acme-staging-v02.api.letsencrypt.org/directory"},
		DNS:    DNS{TSIGAlgorithm: "hmac-sha256"},
		Cert:   Cert{RenewalCheckInterval: 24 * time.Hour, RenewalThreshold: 30 * 24 * time.Hour, Workers: 5, KeyType: "ecdsa-p256", SelfSignedLifetime: 365 * 24 * time.Hour},
		Proxy:  Proxy{ConnectTimeout: 30 * time.Second, RequestTimeout: 2 * time.Minute},
		GitHub: GitHub{URL: "https://github.com", APIURL: "https://api.github.com"},
		OAuth: OAuth{AccessTokenLifetime: 30 * time.Minute, RefreshTokenLifetime: 365 * 24 * time.Hour,
			SessionTimeout: 10 * time.Minute, ClientLifetime: 90 * 24 * time.Hour},
		Limits: Limits{RateLimits: true, MaxConnections: 100000, MaxConnectionsPerIP: 1000},
		Docker: Docker{Host: "unix:///var/run/docker.sock"},
		Client: Client{DataDir: "/home/ann/.local/share/gatehouse", CredentialsFile: "/home/ann/.config/gatehouse/credentials.json"},
		values: c.values,
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("the defaults warn: %v", w)
	}
}

func TestDataBelongsWhereXDGSays(t *testing.T) {
	if c := load(t, "XDG_DATA_HOME=/data", "XDG_CONFIG_HOME=/etc/xdg"); c.DataDir != "/data/gatehouse" ||
		c.Client.CredentialsFile != "/etc/xdg/gatehouse/credentials.json" {
		t.Errorf("%s, %s", c.DataDir, c.Client.CredentialsFile)
	}
	if c := load(t, "XDG_DATA_HOME=relative"); c.DataDir != "/home/ann/.local/share/gatehouse" {
		t.Errorf("a relative XDG_DATA_HOME was not ignored: %s", c.DataDir)
	}
	wd, _ := os.Getwd()
	if c := load(t, "DATA_DIR=state"); c.DataDir != filepath.Join(wd, "state") {
		t.Errorf("DATA_DIR is not absolute: %s", c.DataDir)
	}
}

func TestInAContainerTheAPIIsReachableFromOutsideIt(t *testing.T) {
	c, err := Load(Source{Environ: home, Container: true})
	if err != nil || c.Listen.API != ":9000" {
		t.Errorf("%v, %v", c, err)
	}
	c, err = Load(Source{Environ: append(home, "API_LISTEN=127.0.0.1:9000"), Container: true})
	if err != nil || c.Listen.API != "127.0.0.1:9000" {
		t.Errorf("%v, %v", c, err)
	}
}

func TestEachKindOfValueIsRead(t *testing.T) {
	c := load(t, "LOG_LEVEL=trace", "LOG_FORMAT=JSON", "LOG_RETENTION=36h", "API_LISTEN=off", "SERVER_HOST=::1",
		"TRUSTED_PROXIES= 10.1.2.3/8 , 192.0.2.7, 2001:db8::/32,", "LOCALHOST_PEERS=loopback,172.18.0.1", "BASE_DOMAIN=Apps.Example.COM.",
		"RATE_LIMITS=off", "MAX_REQUESTS_PER_IP=50", "OAUTH_ADMIN_USERS=octocat, local:alice,github:583231",
		"OAUTH_MCP_USERS=bob", "OAUTH_LOCALHOST_MCP_USERS=carol", "GITHUB_URL=https://git.example.com/", "GITHUB_API_URL=https://git.example.com/api/v3/",
		"DOCKER_ALLOWED_IMAGES=any", "DOCKER_API_VERSION=1.44", "OAUTH_ALLOWED_CLIENT_DOMAINS=Claude.ai,chatgpt.com", "METRICS_LISTEN=:9100",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://otel_collector:4318", "DNS_RESOLVER=2001:db8::53", "LOG_REQUEST_BODY=1", "PROXY_CONNECT_TIMEOUT=5", "NO_COLOR=1")
	for what, pair := range map[string][2]any{
		"level":       {c.Log.Level, slog.Level(-8)},
		"format":      {c.Log.Format, "json"},
		"retention":   {c.Log.Retention, 36 * time.Hour},
		"api":         {c.Listen.API, ""},
		"host":        {c.Listen.Host, "::1"},
		"trusted":     {fmt.Sprint(c.Listen.TrustedProxies), "[10.0.0.0/8 192.0.2.7/32 2001:db8::/32]"},
		"peers":       {fmt.Sprint(c.Listen.LocalhostPeers), "[127.0.0.0/8 ::1/128 172.18.0.1/32]"},
		"base":        {c.Listen.BaseDomain, "apps.example.com"},
		"rate limits": {c.Limits.RateLimits, false},
		"requests":    {c.Limits.MaxRequestsPerIP, 50},
		"admins":      {fmt.Sprint(c.OAuth.AdminUsers), "[octocat local:alice github:583231]"},
		"here too":    {fmt.Sprint(c.OAuth.LocalhostAdminUsers), "[octocat local:alice github:583231]"},
		"own list":    {fmt.Sprint(c.OAuth.LocalhostMCPUsers), "[carol]"},
		"github":      {c.GitHub.URL + " " + c.GitHub.APIURL, "https://git.example.com https://git.example.com/api/v3"},
		"images":      {len(c.Docker.AllowedImages), 0},
		"clients":     {fmt.Sprint(c.OAuth.AllowedClientDomains), "[claude.ai chatgpt.com]"},
		"metrics":     {c.Observe.MetricsListen, ":9100"},
		"otlp":        {c.Observe.OTLPEndpoint, "http://otel_collector:4318"},
		"resolver":    {c.DNS.Resolver, "[2001:db8::53]:53"},
		"body":        {c.Log.RequestBody, true},
		"timeout":     {c.Proxy.ConnectTimeout, 5 * time.Second},
		"colour":      {c.Client.NoColor, true},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestTheStrongestPlaceWins(t *testing.T) {
	dotenv := file(t, ".env", "GATEHOUSE_HTTP_PORT=8003\nHTTP_PORT=8004\nHTTPS_PORT=8443 # why not\nBASE_DOMAIN='apps.test'\nUNRELATED=x\n")
	for _, c := range []struct {
		flags   map[string]string
		environ []string
		dotenv  string
		want    int
		from    string
	}{
		{map[string]string{"HTTP_PORT": "8001"}, []string{"GATEHOUSE_HTTP_PORT=8002", "HTTP_PORT=8005"}, dotenv, 8001, "flag"},
		{nil, []string{"GATEHOUSE_HTTP_PORT=8002", "HTTP_PORT=8005"}, dotenv, 8002, "environment GATEHOUSE_HTTP_PORT"},
		{nil, []string{"HTTP_PORT=8005"}, dotenv, 8003, dotenv + " GATEHOUSE_HTTP_PORT"},
		{nil, []string{"HTTP_PORT=8005"}, "", 8005, "environment"},
		{nil, []string{"GATEHOUSE_HTTP_PORT=", "HTTP_PORT=8005", "HTTP_PORT=8006"}, "", 8006, "environment"},
		{nil, []string{"HTTP_PORT="}, filepath.Join(t.TempDir(), "none"), 80, ""},
	} {
		cfg, err := Load(Source{Environ: append(home, c.environ...), Dotenv: c.dotenv, Flags: c.flags})
		if err != nil {
			t.Fatal(err)
		}
		if got := effective(cfg, "HTTP_PORT"); cfg.Listen.HTTPPort != c.want || got.Source != c.from {
			t.Errorf("%v %v %s: %d from %q, want %d from %q", c.flags, c.environ, c.dotenv, cfg.Listen.HTTPPort, got.Source, c.want, c.from)
		}
		if cfg.IsSet("HTTP_PORT") != (c.from != "") {
			t.Errorf("%v: IsSet is wrong", c.environ)
		}
		if c.dotenv == dotenv && (cfg.Listen.HTTPSPort != 8443 || cfg.Listen.BaseDomain != "apps.test") {
			t.Errorf("%s was not read: %+v", dotenv, cfg.Listen)
		}
	}
}

func TestProcessEnvironmentWinsOverDotenv(t *testing.T) {
	cfg, err := Load(Source{Environ: append(home, "BASE_DOMAIN=one.test"), Dotenv: file(t, ".env", "BASE_DOMAIN=two.test\n")})
	if err != nil || cfg.Listen.BaseDomain != "one.test" {
		t.Errorf("%v, %v", cfg, err)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	path := file(t, "secret", "s3cr3t with blank \r\n")
	for _, name := range []string{"GITHUB_CLIENT_SECRET_FILE", "GATEHOUSE_GITHUB_CLIENT_SECRET_FILE"} {
		c := load(t, "GITHUB_CLIENT_ID=id", name+"="+path)
		if got := c.GitHub.ClientSecret.Reveal(); got != "s3cr3t with blank " {
			t.Errorf("%s: %q", name, got)
		}
		if got := effective(c, "GITHUB_CLIENT_SECRET"); got.Value != "****" || got.Source != "environment file "+path {
			t.Errorf("shown as %+v", got)
		}
	}
	// A value in the process environment is stronger than a file that .env names.
	c, err := Load(Source{Environ: append(home, "GITHUB_CLIENT_ID=id", "GITHUB_CLIENT_SECRET=direct"),
		Dotenv: file(t, ".env", "GITHUB_CLIENT_SECRET_FILE="+path+"\n")})
	if err != nil || c.GitHub.ClientSecret.Reveal() != "direct" {
		t.Errorf("%v", err)
	}
}

func TestTheClientIgnoresMistakesInTheServersSettings(t *testing.T) {
	c, err := LoadClient(Source{Environ: append(home, "LOG_LEVEL=loud", "API_URL=https://gate.example.com/", "OAUTH_ACCESS_TOKEN=t")})
	if err != nil || c.URL != "https://gate.example.com" || c.AccessToken.Reveal() != "t" || c.DataDir != "/home/ann/.local/share/gatehouse" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := LoadClient(Source{Environ: []string{"API_URL=gate.example.com"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a malformed API_URL: %v", err)
	}
	if c, err := LoadClient(Source{}); err != nil || c.DataDir != "" || c.CredentialsFile != "" {
		t.Errorf("without a home folder: %+v, %v", c, err)
	}
}

// What is shown of a configuration, in whatever way, holds no secret.
func TestNoSecretIsEverShown(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	c := load(t, "GITHUB_CLIENT_ID=id", "GITHUB_CLIENT_SECRET="+secret, "REDIS_URL=redis://gate:"+secret+"@redis:6379/1",
		"SECRET_KEY=aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ=", "ALERT_WEBHOOK_URL=https://hooks.example.com/"+secret,
		"OAUTH_JWT_PRIVATE_KEY_B64="+rsaKey(t, 2048), "OAUTH_ACCESS_TOKEN="+secret, "REDIS_PASSWORD="+secret)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "secret", c.GitHub.ClientSecret)
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{log.String(), string(encoded), fmt.Sprint(c.Effective()), fmt.Sprint(c.Warnings())}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		outputs = append(outputs, fmt.Sprintf(verb, *c), fmt.Sprintf(verb, c.GitHub.ClientSecret), fmt.Sprintf(verb, &c.GitHub))
	}
	for _, out := range outputs {
		for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), c.OAuth.SigningKey().D.String()} {
			if strings.Contains(strings.ToLower(out), leak) {
				t.Errorf("a secret is shown: %.300s", out)
			}
		}
	}
	for name, want := range map[string]string{
		"REDIS_URL": "redis://gate:****@redis:6379/1", "ALERT_WEBHOOK_URL": "https://hooks.example.com/****", "SECRET_KEY": "****", "HTTP_PORT": "80",
		"PUBLIC_HTTPS_PORT": "the HTTPS port",
	} {
		if got := effective(c, name).Value; got != want {
			t.Errorf("%s is shown as %q, want %q", name, got, want)
		}
	}
	if len(c.Effective()) != len(Variables()) {
		t.Error("some variable is not shown")
	}
}

func TestWhatShouldNotStandInProductionIsSaid(t *testing.T) {
	const key = "SECRET_KEY=aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ="
	for _, c := range []struct {
		environ []string
		warns   string // variables
		strict  string // message; empty: passes
	}{
		{[]string{"RATE_LIMITS=off", "CIMD_ALLOW_LOOPBACK=true", "LOG_MASK_SENSITIVE=false"}, "RATE_LIMITS CIMD_ALLOW_LOOPBACK LOG_MASK_SENSITIVE", ""},
		{[]string{key, "REDIS_URL=redis://127.0.0.1"}, "", ""},
		{[]string{key, "REDIS_URL=redis://localhost,127.0.0.2/x"}, "", "REDIS_URL"},
		{[]string{key, "REDIS_URL=redis://redis:6379"}, "REDIS_PASSWORD", "REDIS_PASSWORD: must have 32 or more bytes"},
		{[]string{key, "REDIS_URL=rediss://:short@redis"}, "REDIS_PASSWORD", "REDIS_PASSWORD: must have 32 or more bytes"},
		{[]string{key, "REDIS_URL=redis://redis", "REDIS_PASSWORD=0123456789abcdef0123456789abcdef"}, "", ""},
		{[]string{key, "REDIS_URL=redis+sentinel://127.0.0.1,10.0.0.1/main"}, "REDIS_PASSWORD", "REDIS_PASSWORD: must have 32 or more bytes"},
		{[]string{"METRICS_LISTEN=127.0.0.1:9100"}, "METRICS_LISTEN", ""},
		{[]string{"TRUSTED_PROXIES=10.0.0.0/8,0.0.0.0/0"}, "TRUSTED_PROXIES", "TRUSTED_PROXIES: trusts every address"},
	} {
		cfg, err := Load(Source{Environ: append(home, c.environ...)})
		if err != nil {
			if c.strict == "" || !strings.Contains(err.Error(), c.strict) {
				t.Errorf("%v: %v", c.environ, err)
			}
			continue
		}
		var warned []string
		for _, w := range cfg.Warnings() {
			warned = append(warned, w.Name)
		}
		if got := strings.Join(warned, " "); got != c.warns {
			t.Errorf("%v warns of %q, want %q", c.environ, got, c.warns)
		}
		if err := cfg.Strict(); c.strict == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.strict) {
			t.Errorf("%v strictly: %v, want %q", c.environ, err, c.strict)
		}
	}
}

func effective(c *Config, name string) Value {
	for _, v := range c.Effective() {
		if v.Name == name {
			return v
		}
	}
	return Value{}
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
