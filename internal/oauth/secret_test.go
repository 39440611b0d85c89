package oauth

import "testing"

// TestIDsAreNoFlags: an id that began with a hyphen could not be given to a
// command, one time in 64.
func TestIDsAreNoFlags(t *testing.T) {
	for range 2000 {
		if id := newID(); id[0] == '-' || !clientID(id) {
			t.Fatalf("%q", id)
		}
	}
}
