package site

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Wildcard is how the hostname of a wildcard proxy begins.
const Wildcard = "*."

// names maps what people write to what DNS and certificates hold (UTS 46) and
// refuses what is no RFC 1123 name.
var names = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false),
)

var (
	errNoName      = errors.New("is a hostname such as app.example.com")
	errNamePort    = errors.New("is a hostname without scheme, path and port")
	errNameDot     = errors.New("is a hostname without a trailing dot")
	errNameLabel   = errors.New("has labels of letters, digits and hyphens, at most 63 characters each and 253 in all")
	errNameWild    = errors.New("may have a wildcard only as its whole leftmost label, with a name behind it")
	errNameNumeric = errors.New("ends in a label of digits alone, which clients read as an address")
)

// NormalizeHostname is the one form in which a hostname is stored and compared:
// lower case, IDNA A-labels, for a wildcard with "*." in front. Its errors say
// the rule that name breaks.
func NormalizeHostname(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", errNoName
	case strings.ContainsAny(name, "/:@?#[]"):
		return "", errNamePort
	case strings.HasSuffix(name, "."):
		return "", errNameDot
	}
	base, wild := strings.CutPrefix(name, Wildcard)
	if strings.Contains(base, "*") {
		return "", errNameWild
	}
	ascii, err := names.ToASCII(base)
	if again, err := names.ToASCII(ascii); err != nil || again != ascii || !utf8.ValidString(name) {
		return "", errNameLabel
	}
	if err != nil || ascii == "" || strings.HasSuffix(ascii, ".") || strings.Contains(ascii, "_") {
		return "", errNameLabel
	}
	if err := checkNumeric(ascii, wild); err != nil {
		return "", err
	}
	if wild {
		ascii = Wildcard + ascii
	}
	if len(ascii) > 253 {
		return "", errNameLabel
	}
	return ascii, nil
}

// checkNumeric refuses names that URL parsers take for an address: the last
// label is a number. A plain IPv4 address is one that they read as it is meant.
func checkNumeric(ascii string, wild bool) error {
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	if !digits(last) && !strings.HasPrefix(last, "0x") {
		return nil
	}
	if addr, err := netip.ParseAddr(ascii); err == nil && addr.Is4() && !wild {
		return nil
	}
	return errNameNumeric
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
