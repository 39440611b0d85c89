package edge

import (
	"crypto/tls"
	"net/http"

	"gatehouse/internal/site"
)

// Gate decides who may do what on a host. Package oauth has the one that is
// used; both methods are called for every request and answer from memory.
type Gate interface {
	// Admit decides on r, which v describes. v is complete but for Verdict.
	Admit(v *site.Visit, r *http.Request) site.Verdict

	// Still reports whether what Admit allowed earlier would be allowed now,
	// the token's own expiry aside: the edge asks it of long streams about
	// twice a second, and after each change of policy, and ends those that it
	// denies.
	Still(v *site.Visit) bool
}

// Certificates finds the certificate for a handshake, from memory. An error
// ends the handshake with the alert unrecognized_name.
type Certificates interface {
	Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}
