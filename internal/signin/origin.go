package signin

import (
	"net/http"

	"gatehouse/internal/site"
)

// sameOrigin reports whether a POST was made by a page of this very origin.
// Browsers say so in Sec-Fetch-Site; in Origin only where a page's referrer
// policy allows it, and ours is no-referrer, which turns it into "null". A
// client that sends neither is no browser: the form's token decides there.
func sameOrigin(v *site.Visit, r *http.Request) bool {
	from, origins := r.Header.Get("Sec-Fetch-Site"), r.Header.Values("Origin")
	if from != "" && from != "same-origin" {
		return false
	}
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	case origins[0] == "null":
		return from == "same-origin"
	}
	return origins[0] == v.Origin
}
