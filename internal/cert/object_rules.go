package cert

import (
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
)

// checkDomain says what is wrong with a name that an authority is to be asked
// for; empty: nothing.
func checkDomain(d string) string {
	rest := strings.TrimPrefix(d, "*.")
	if _, err := netip.ParseAddr(rest); err == nil {
		return fmt.Sprintf("%q is an address: certificates are for names", d)
	}
	if rest == "" || len(rest) > 253 {
		return fmt.Sprintf("%q is not a hostname", d)
	}
	for label := range strings.SplitSeq(rest, ".") {
		if !isLabel(label) || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || strings.Contains(label, "_") {
			return fmt.Sprintf("%q is not a hostname: labels have 1 to 63 letters, digits and inner hyphens; a star stands alone and first", d)
		}
	}
	if !strings.Contains(rest, ".") {
		return fmt.Sprintf("%q has one label only: no authority certifies it", d)
	}
	return ""
}

func checkDirectory(s string) string {
	u, err := url.Parse(s)
	switch {
	case s == "" || err != nil || u.Host == "":
		return "must be the https URL of an ACME directory"
	case u.User != nil || u.Fragment != "":
		return "must not have a user or a fragment"
	case u.Scheme != "https":
		return "must be https"
	}
	return ""
}

func checkEmail(s string) string {
	if s == "" {
		return ""
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 {
		return "must be one e-mail address"
	}
	return ""
}

func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
