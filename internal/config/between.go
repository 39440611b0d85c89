package config

import "gatehouse/internal/fault"

// between checks the rules that bind several variables and fills what one takes
// from another.
func (l *loader) between(c *Config) {
	l.together(c)
	l.storage(c)
	l.dns(c)
	if c.DataDir == "" && !broken(l.rules, "DATA_DIR") {
		l.rules.Add("DATA_DIR", "must be set: neither XDG_DATA_HOME nor HOME says where data belongs")
	}
	if p := c.Listen.HTTPPort; p != 0 && p == c.Listen.HTTPSPort {
		l.rules.Add("HTTPS_PORT", "must differ from HTTP_PORT: both are %d", p)
	}
	inherit(&c.OAuth.LocalhostAdminUsers, c.OAuth.AdminUsers)
	inherit(&c.OAuth.LocalhostUserUsers, c.OAuth.UserUsers)
	inherit(&c.OAuth.LocalhostMCPUsers, c.OAuth.MCPUsers)
}

func inherit(list *[]string, from []string) {
	if *list == nil {
		*list = from
	}
}

// together refuses halves of what works only whole.
func (l *loader) together(c *Config) {
	for _, whole := range [][]string{
		{"GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"},
		{"GITHUB_URL", "GITHUB_API_URL"},
		{"OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"},
		{"ACME_EAB_KID", "ACME_EAB_HMAC"},
		{"DNS_RFC2136_TSIG_NAME", "DNS_RFC2136_TSIG_SECRET"},
	} {
		for _, name := range whole {
			l.needs(c, name, whole...)
		}
	}
	l.needs(c, "ALERT_WEBHOOK_SECRET", "ALERT_WEBHOOK_URL")
}

// needs reports each of others that is missing although name is set.
func (l *loader) needs(c *Config, name string, others ...string) {
	if !c.IsSet(name) {
		return
	}
	for _, other := range others {
		if !c.IsSet(other) && !broken(l.rules, other) {
			l.rules.Add(other, "must be set, because %s is", name)
		}
	}
}

func (l *loader) storage(c *Config) {
	if c.Redis.Enabled() {
		l.needs(c, "REDIS_URL", "SECRET_KEY")
	}
	if c.Redis.Server.Password.Empty() {
		c.Redis.Server.Password = c.Redis.password
	}
}

func (l *loader) dns(c *Config) {
	switch c.DNS.Provider {
	case "rfc2136":
		l.needs(c, "DNS_PROVIDER", "DNS_RFC2136_SERVER")
	case "exec":
		l.needs(c, "DNS_PROVIDER", "DNS_EXEC")
	}
}

// broken reports whether name, however spelled, has been reported already.
func broken(rules fault.Rules, name string) bool {
	for _, f := range rules {
		switch f.Path {
		case name, Prefix + name, name + fileSuffix, Prefix + name + fileSuffix:
			return true
		}
	}
	return false
}
