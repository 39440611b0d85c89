package signin

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/site"
)

// The cookies of this package, each a random value of 256 bits that means
// nothing by itself. All begin like the session's, so that no target ever gets
// them. Over plain HTTP, which only names under localhost speak, they lose the
// __Host- that browsers would refuse there.
const (
	cookieBrowser = "gatehouse-browser" // tells this browser from others: forms are bound to it
	cookieSignin  = "gatehouse-signin"  // the browser that pressed the button towards a provider
	cookieStart   = "gatehouse-start"   // on a protected host: the browser that asked to sign in
	cookieOnce    = "gatehouse-once"    // a sign-in that counts for one request alone
)

const secretSize = 32 // bytes

// secret is a fresh value that opens something.
func secret() string { return base64.RawURLEncoding.EncodeToString(random(secretSize)) }

// digest is the form in which a secret is stored and looked up.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func cookieName(v *site.Visit, name string) string {
	if secured(v) {
		return "__Host-" + name
	}
	return name
}

func secured(v *site.Visit) bool { return strings.HasPrefix(v.Origin, "https:") }

// cookieOf is the value of one of our cookies; empty when there is none or it
// is not of our making. Of several with the name none counts.
func cookieOf(v *site.Visit, r *http.Request, name string) string {
	found := r.CookiesNamed(cookieName(v, name))
	if len(found) != 1 {
		return ""
	}
	if b, err := base64.RawURLEncoding.DecodeString(found[0].Value); err != nil || len(b) != secretSize {
		return ""
	}
	return found[0].Value
}

// setCookie sends one of our cookies; age 0 lives as long as the browser.
func setCookie(w http.ResponseWriter, v *site.Visit, name, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(v, name), Value: value, Path: "/", MaxAge: int(age / time.Second),
		Secure: secured(v), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func dropCookie(w http.ResponseWriter, v *site.Visit, name string) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(v, name), Path: "/", MaxAge: -1,
		Secure: secured(v), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// ensureCookie is the value that this browser has already, else a new one. Two
// tabs share it, so that neither spoils the other's sign-in; one with an age
// begins it anew.
func ensureCookie(w http.ResponseWriter, r *http.Request, v *site.Visit, name string, age time.Duration) string {
	value := cookieOf(v, r, name)
	if value != "" && age == 0 {
		return value
	}
	if value == "" {
		value = secret()
	}
	setCookie(w, v, name, value, age)
	return value
}

// formToken binds a form to the browser and to the session that its page was
// made for (empty: nobody signed in): a form from before a sign-in, from another
// browser or from another person's session is refused.
func formToken(browser, session string) string {
	mac := hmac.New(sha256.New, []byte(browser))
	mac.Write([]byte("form\x00" + session))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
