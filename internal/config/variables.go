package config

import (
	"crypto/rsa"
	"log/slog"
	"math"
	"net/netip"
	"time"
)

// variables is the list of everything that the environment may say, in the
// order in which it is shown.
func variables() []group {
	return []group{
		{"State", stateVars()},
		{"Addresses", listenVars()},
		{"Logs", logVars()},
		{"Certificates", append(acmeVars(), certVars()...)},
		{"Targets", proxyVars()},
		{"Sign-in", signinVars()},
		{"Authorization server", append(oauthVars(), peopleVars()...)},
		{"Limits", limitVars()},
		{"Alerts and telemetry", observeVars()},
		{"Docker", dockerVars()},
		{"Command line", clientVars()},
	}
}

func stateVars() []variable {
	return []variable{
		define("DATA_DIR", "", folder(), func(c *Config) *string { return &c.DataDir },
			"Folder of the embedded store, made with mode 0700.").orElse("$XDG_DATA_HOME/gatehouse or ~/.local/share/gatehouse").forClient(),
		define("SECRET_KEY", "", keyBytes(32), func(c *Config) *Secret { return &c.SecretKey },
			"Seals secrets at rest. Required with Redis, where all nodes share it.").orElse("generated once beside the embedded store").secret(),
		define("REDIS_URL", "", redisURL(), func(c *Config) *RedisServer { return &c.Redis.Server },
			"Keeps state in Redis instead, for several nodes. Whoever can write to that Redis is administrator of Gatehouse.").orElse("none: state is embedded").secretBut(maskRedis),
		define("REDIS_PASSWORD", "", secretText(), func(c *Config) *Secret { return &c.Redis.password },
			"Used when REDIS_URL has no password.").secret(),
		define("REDIS_CA_FILE", "", pemFile(), func(c *Config) *string { return &c.Redis.CAFile },
			"Certificates that a Redis with TLS is trusted by, beside the system's."),
		define("REDIS_PREFIX", "", redisPrefix(), func(c *Config) *string { return &c.Redis.Prefix },
			"Put before every key in Redis."),
	}
}

func listenVars() []variable {
	return []variable{
		define("SERVER_HOST", "", ipAddress(), func(c *Config) *string { return &c.Listen.Host },
			"Address of the public listeners.").orElse("all interfaces, IPv4 and IPv6"),
		define("HTTP_PORT", "80", port(0), func(c *Config) *int { return &c.Listen.HTTPPort },
			"Public HTTP port; 0 takes any free one, printed at start. Not set and not allowed to take 80: 8080."),
		define("HTTPS_PORT", "443", port(0), func(c *Config) *int { return &c.Listen.HTTPSPort },
			"Public HTTPS port; 0 takes any free one, printed at start. Not set and not allowed to take 443: 8443."),
		define("PUBLIC_HTTPS_PORT", "", port(1), func(c *Config) *int { return &c.Listen.PublicHTTPSPort },
			"The HTTPS port that clients see, when something in front maps it.").orElse("the HTTPS port"),
		define("API_LISTEN", "127.0.0.1:9000", listenAddress(), func(c *Config) *string { return &c.Listen.API },
			"Direct door to the API for health checks and tools, without TLS; off closes it.").orElse("127.0.0.1:9000; in a container :9000"),
		define("NODE_LISTEN", NodeAuto, nodeAddress(), func(c *Config) *string { return &c.Listen.Node },
			"With Redis: where other nodes hand over requests for the sessions of this one, by TLS with a key that comes from SECRET_KEY. "+
				"auto is any free port at the address by which Redis is reached."),
		define("LOCALHOST_PEERS", "loopback", networks(), func(c *Config) *[]netip.Prefix { return &c.Listen.LocalhostPeers },
			"Peers that may reach names under localhost."),
		define("BASE_DOMAIN", "localhost", hostname(len("auth.")), func(c *Config) *string { return &c.Listen.BaseDomain },
			"Parent of service names (NAME.BASE_DOMAIN) and of the sign-in host auth.BASE_DOMAIN."),
		define("TRUSTED_PROXIES", "", networks(), func(c *Config) *[]netip.Prefix { return &c.Listen.TrustedProxies },
			"Peers whose PROXY protocol header, X-Forwarded-* and Forwarded are believed."),
		define("PROXY_INSTANCE_PORTS", "on", boolean(), func(c *Config) *bool { return &c.Listen.InstancePorts },
			"Whether each proxy also listens on two ports of its own, for a layer-4 balancer that sends a PROXY header."),
		define("PROXY_INSTANCE_LISTEN", "127.0.0.1", ipAddress(), func(c *Config) *string { return &c.Listen.InstanceHost },
			"Address of those ports. Connections to them are taken from loopback and TRUSTED_PROXIES only."),
	}
}

func logVars() []variable {
	return []variable{
		define("LOG_LEVEL", "INFO", logLevel(), func(c *Config) *slog.Level { return &c.Log.Level },
			"Least level that the process log shows."),
		define("LOG_FORMAT", "auto", oneOf("auto", "text", "json"), func(c *Config) *string { return &c.Log.Format },
			"Form of the process log; auto is text on a terminal, else json."),
		define("LOG_RETENTION", "168h", duration(time.Minute), func(c *Config) *time.Duration { return &c.Log.Retention },
			"How long the request log keeps entries."),
		define("LOG_MAX_ENTRIES", "1000000", whole(1, math.MaxInt), func(c *Config) *int { return &c.Log.MaxEntries },
			"How many entries the request log keeps."),
		define("LOG_RESOLVE_HOSTNAMES", "false", boolean(), func(c *Config) *bool { return &c.Log.ResolveHostnames },
			"Whether clients' addresses are looked up in reverse DNS.").reserved(),
		define("LOG_REQUEST_HEADERS", "false", boolean(), func(c *Config) *bool { return &c.Log.RequestHeaders },
			"Whether entries hold the request's headers.").reserved(),
		define("LOG_RESPONSE_HEADERS", "false", boolean(), func(c *Config) *bool { return &c.Log.ResponseHeaders },
			"Whether entries hold the response's headers.").reserved(),
		define("LOG_REQUEST_BODY", "false", boolean(), func(c *Config) *bool { return &c.Log.RequestBody },
			"Whether entries hold the request's body.").reserved(),
		define("LOG_RESPONSE_BODY", "false", boolean(), func(c *Config) *bool { return &c.Log.ResponseBody },
			"Whether entries hold the response's body.").reserved(),
		define("LOG_BODY_MAX_SIZE", "102400", whole(1, 16<<20), func(c *Config) *int { return &c.Log.BodyMaxSize },
			"How many bytes of a body an entry holds at most.").reserved(),
		define("LOG_MASK_SENSITIVE", "true", boolean(), func(c *Config) *bool { return &c.Log.MaskSensitive },
			"Whether personal data in captured traffic is masked. Credentials always are.").reserved(),
	}
}

func certVars() []variable {
	return []variable{
		define("RENEWAL_CHECK_INTERVAL", "86400", seconds(), func(c *Config) *time.Duration { return &c.Cert.RenewalCheckInterval },
			"How often certificates are looked through for renewal."),
		define("RENEWAL_THRESHOLD_DAYS", "30", days(365), func(c *Config) *time.Duration { return &c.Cert.RenewalThreshold },
			"How long before expiry a certificate is renewed; the authority's own renewal window wins."),
		define("CERT_GEN_MAX_WORKERS", "5", whole(1, 100), func(c *Config) *int { return &c.Cert.Workers },
			"How many certificates are obtained at once."),
		define("CERT_KEY_TYPE", "ecdsa-p256", oneOf("ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"), func(c *Config) *string { return &c.Cert.KeyType },
			"Kind of the keys of new certificates."),
		define("SELF_SIGNED_DAYS", "365", days(3650), func(c *Config) *time.Duration { return &c.Cert.SelfSignedLifetime },
			"Lifetime of the self-signed certificate that a public name has until its own is issued."),
	}
}

func acmeVars() []variable {
	return []variable{
		define("ACME_DIRECTORY_URL", "https://acme-v02.api.letsencrypt.org/directory", secureURL(), func(c *Config) *string { return &c.ACME.DirectoryURL },
			"Directory of the certificate authority."),
		define("ACME_STAGING_URL", "https://acme-staging-v02.api.letsencrypt.org/directory", secureURL(), func(c *Config) *string { return &c.ACME.StagingURL },
			"Directory that certificates marked as staging come from."),
		define("ACME_EMAIL", "", email(), func(c *Config) *string { return &c.ACME.Email },
			"Contact address of the account."),
		define("ACME_CA_FILE", "", pemFile(), func(c *Config) *string { return &c.ACME.CAFile },
			"Certificates that a private ACME server is trusted by."),
		define("ACME_EAB_KID", "", text(1024), func(c *Config) *string { return &c.ACME.EABKeyID },
			"Key id of external account binding; together with ACME_EAB_HMAC."),
		define("ACME_EAB_HMAC", "", keyBytes(0), func(c *Config) *Secret { return &c.ACME.EABHMAC },
			"Key of external account binding.").secret(),
		define("DNS_PROVIDER", "", oneOf("rfc2136", "exec"), func(c *Config) *string { return &c.DNS.Provider },
			"How DNS-01 challenges are answered.").orElse("none"),
		define("DNS_RFC2136_SERVER", "", dnsServer(), func(c *Config) *string { return &c.DNS.Server },
			"Name server that takes dynamic updates."),
		define("DNS_RFC2136_ZONE", "", hostname(0), func(c *Config) *string { return &c.DNS.Zone },
			"Zone that is updated.").orElse("found by asking the server"),
		define("DNS_RFC2136_TSIG_NAME", "", hostname(0), func(c *Config) *string { return &c.DNS.TSIGName },
			"Name of the key that updates are signed with; together with DNS_RFC2136_TSIG_SECRET."),
		define("DNS_RFC2136_TSIG_SECRET", "", keyBytes(0), func(c *Config) *Secret { return &c.DNS.TSIGSecret },
			"That key.").secret(),
		define("DNS_RFC2136_TSIG_ALGORITHM", "hmac-sha256", oneOf("hmac-sha256", "hmac-sha384", "hmac-sha512"), func(c *Config) *string { return &c.DNS.TSIGAlgorithm },
			"Its algorithm."),
		define("DNS_EXEC", "", absolutePath(), func(c *Config) *string { return &c.DNS.Exec },
			"Program that sets and removes DNS records. It is set here only, never over the network."),
		define("DNS_RESOLVER", "", dnsServer(), func(c *Config) *string { return &c.DNS.Resolver },
			"Name server that is asked before a certificate is, and when client metadata and clients' keys are fetched.").orElse("the system's"),
	}
}

func proxyVars() []variable {
	return []variable{
		define("PROXY_CONNECT_TIMEOUT", "30", seconds(), func(c *Config) *time.Duration { return &c.Proxy.ConnectTimeout },
			"How long connecting to a target may take."),
		define("PROXY_REQUEST_TIMEOUT", "120", seconds(), func(c *Config) *time.Duration { return &c.Proxy.RequestTimeout },
			"How long a target may take to answer with headers. It never bounds the length of a stream."),
	}
}

func signinVars() []variable {
	return []variable{
		define("GITHUB_CLIENT_ID", "", text(255), func(c *Config) *string { return &c.GitHub.ClientID },
			"The global GitHub OAuth App; together with GITHUB_CLIENT_SECRET.").orElse("none"),
		define("GITHUB_CLIENT_SECRET", "", secretText(), func(c *Config) *Secret { return &c.GitHub.ClientSecret },
			"Its secret.").secret(),
		define("GITHUB_URL", "https://github.com", webURL(), func(c *Config) *string { return &c.GitHub.URL },
			"GitHub Enterprise Server instead of github.com; together with GITHUB_API_URL."),
		define("GITHUB_API_URL", "https://api.github.com", webURL(), func(c *Config) *string { return &c.GitHub.APIURL },
			"Its API, GITHUB_URL/api/v3 on GitHub Enterprise Server."),
		define("OIDC_ISSUER", "", issuer(true), func(c *Config) *string { return &c.OIDC.Issuer },
			"One OpenID Connect provider; together with OIDC_CLIENT_ID and OIDC_CLIENT_SECRET.").orElse("none"),
		define("OIDC_CLIENT_ID", "", text(1024), func(c *Config) *string { return &c.OIDC.ClientID },
			"Gatehouse's client id there."),
		define("OIDC_CLIENT_SECRET", "", secretText(), func(c *Config) *Secret { return &c.OIDC.ClientSecret },
			"Its secret.").secret(),
		define("OIDC_NAME", "", text(64), func(c *Config) *string { return &c.OIDC.Name },
			"What people read on the button.").orElse("the issuer's host"),
	}
}

func oauthVars() []variable {
	return []variable{
		define("OAUTH_JWT_PRIVATE_KEY_B64", "", signingKey(), func(c *Config) **rsa.PrivateKey { return &c.OAuth.key },
			"Key that access tokens are signed with; imported once.").orElse("generated once, kept in the store").secret(),
		define("OAUTH_ACCESS_TOKEN_LIFETIME", "1800", seconds(), func(c *Config) *time.Duration { return &c.OAuth.AccessTokenLifetime },
			"Lifetime of access tokens."),
		define("OAUTH_REFRESH_TOKEN_LIFETIME", "31536000", seconds(), func(c *Config) *time.Duration { return &c.OAuth.RefreshTokenLifetime },
			"Lifetime of refresh tokens."),
		define("OAUTH_SESSION_TIMEOUT", "600", seconds(), func(c *Config) *time.Duration { return &c.OAuth.SessionTimeout },
			"How long a sign-in that was begun may take."),
		define("OAUTH_CLIENT_LIFETIME", "7776000", seconds(), func(c *Config) *time.Duration { return &c.OAuth.ClientLifetime },
			"How long a registered client is kept unused."),
		define("OAUTH_ISSUER", "", issuer(false), func(c *Config) *string { return &c.OAuth.Issuer },
			"One issuer for all hosts, where one central authorization server is wanted: the origin of a host that is served here, best the sign-in host's.").orElse("each host is its own"),
		define("OAUTH_ALLOWED_CLIENT_DOMAINS", "", hostnames(), func(c *Config) *[]string { return &c.OAuth.AllowedClientDomains },
			"Hosts whose client metadata documents are accepted, each by its exact name.").orElse("any"),
		define("CIMD_ALLOW_LOOPBACK", "false", boolean(), func(c *Config) *bool { return &c.OAuth.CIMDAllowLoopback },
			"Whether client metadata may come from loopback and over http. For tests on one machine."),
	}
}

func peopleVars() []variable {
	people := func(name, help string, at func(*Config) *[]string) variable {
		return define(name, "", names(), at, help)
	}
	return []variable{
		people("OAUTH_ADMIN_USERS", "Who may have the scope admin.", func(c *Config) *[]string { return &c.OAuth.AdminUsers }),
		people("OAUTH_USER_USERS", "Who may have the scope user.", func(c *Config) *[]string { return &c.OAuth.UserUsers }),
		people("OAUTH_MCP_USERS", "Who may have the scope mcp.", func(c *Config) *[]string { return &c.OAuth.MCPUsers }),
		people("OAUTH_LOCALHOST_ADMIN_USERS", "The same for the localhost proxy.", func(c *Config) *[]string { return &c.OAuth.LocalhostAdminUsers }).orElse("OAUTH_ADMIN_USERS"),
		people("OAUTH_LOCALHOST_USER_USERS", "The same for the localhost proxy.", func(c *Config) *[]string { return &c.OAuth.LocalhostUserUsers }).orElse("OAUTH_USER_USERS"),
		people("OAUTH_LOCALHOST_MCP_USERS", "The same for the localhost proxy.", func(c *Config) *[]string { return &c.OAuth.LocalhostMCPUsers }).orElse("OAUTH_MCP_USERS"),
	}
}

func limitVars() []variable {
	return []variable{
		define("RATE_LIMITS", "on", boolean(), func(c *Config) *bool { return &c.Limits.RateLimits },
			"Whether sign-in, registration, device endpoints and failed attempts are limited per address. Off is for tests and benchmarks on one machine."),
		define("MAX_CONNECTIONS", "100000", whole(1, math.MaxInt), func(c *Config) *int { return &c.Limits.MaxConnections },
			"Open connections in all."),
		define("MAX_CONNECTIONS_PER_IP", "1000", whole(1, math.MaxInt), func(c *Config) *int { return &c.Limits.MaxConnectionsPerIP },
			"Open connections of one address."),
		define("MAX_REQUESTS_PER_IP", "off", wholeOrOff(), func(c *Config) *int { return &c.Limits.MaxRequestsPerIP },
			"Requests a second of one address."),
	}
}

func observeVars() []variable {
	return []variable{
		define("ALERT_WEBHOOK_URL", "", secretURL(), func(c *Config) *Secret { return &c.Alert.WebhookURL },
			"Where alerts are sent, as JSON.").orElse("nowhere").secretBut(maskURL).reserved(),
		define("ALERT_WEBHOOK_SECRET", "", secretText(), func(c *Config) *Secret { return &c.Alert.WebhookSecret },
			"Signs alerts by HMAC-SHA256.").secret().reserved(),
		define("METRICS_LISTEN", "off", listenAddress(), func(c *Config) *string { return &c.Observe.MetricsListen },
			"Where Prometheus finds /metrics.").reserved(),
		define("OTEL_EXPORTER_OTLP_ENDPOINT", "off", webURLOrOff(), func(c *Config) *string { return &c.Observe.OTLPEndpoint },
			"Where traces and metrics are sent by OTLP.").reserved(),
	}
}

func dockerVars() []variable {
	return []variable{
		define("DOCKER_HOST", "unix:///var/run/docker.sock", dockerHost(), func(c *Config) *string { return &c.Docker.Host },
			"The Docker Engine.").reserved(),
		define("DOCKER_API_VERSION", "", apiVersion(), func(c *Config) *string { return &c.Docker.APIVersion },
			"Version of its API.").orElse("negotiated").reserved(),
		define("DOCKER_ALLOWED_IMAGES", "", imageGlobs(), func(c *Config) *[]string { return &c.Docker.AllowedImages },
			"Images that services may run.").orElse("any").reserved(),
		define("DOCKER_ALLOW_BIND_MOUNTS", "false", boolean(), func(c *Config) *bool { return &c.Docker.AllowBindMounts },
			"Whether services may mount folders of the host.").reserved(),
		define("DOCKER_BUILD_ROOT", "", absolutePath(), func(c *Config) *string { return &c.Docker.BuildRoot },
			"Folder that images may be built from.").orElse("none: contexts are uploaded").reserved(),
	}
}

func clientVars() []variable {
	return []variable{
		define("API_URL", "", webURL(), func(c *Config) *string { return &c.Client.URL },
			"The Gatehouse that the command line talks to.").orElse("from DATA_DIR/listen.json, else http://localhost").forClient(),
		define("OAUTH_ACCESS_TOKEN", "", secretText(), func(c *Config) *Secret { return &c.Client.AccessToken },
			"Token that the command line presents; wins over the one that `gatehouse oauth login` stored.").secret().forClient(),
		define("OAUTH_REFRESH_TOKEN", "", secretText(), func(c *Config) *Secret { return &c.Client.RefreshToken },
			"Renews that token before it expires.").secret().forClient(),
	}
}
