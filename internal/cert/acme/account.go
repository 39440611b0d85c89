package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/url"
	"time"

	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// prefixAccount is where accounts stand in the store, one for each authority and
// contact address.
const prefixAccount = "acme:account:"

// accountRecord is an account at an authority, as it is stored.
type accountRecord struct {
	Directory string    `json:"directory"`
	Email     string    `json:"email,omitempty"`
	Location  string    `json:"location"` // the account's URL there
	Key       []byte    `json:"key"`      // PKCS #8, sealed for the record's place
	CreatedAt time.Time `json:"created_at"`
}

// accountName is an account's name in the store: the directory's host and path,
// and the address.
func accountName(directory, email string) string {
	ca := directory
	if u, err := url.Parse(directory); err == nil && u.Host != "" {
		ca = u.Host + u.Path
	}
	return url.PathEscape(ca) + ":" + url.PathEscape(email)
}

// account is the account for an order, made when there is none. Of several nodes
// that make one at once, one wins and all use it.
func (w *work) account(ctx context.Context) (wire.Account, error) {
	name := accountName(w.order.Directory, w.order.Email)
	row, err := w.accounts.Get(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return w.newAccount(ctx, name)
	}
	if err != nil {
		return wire.Account{}, err
	}
	return w.openAccount(name, row.Value)
}

func (w *work) openAccount(name string, r accountRecord) (wire.Account, error) {
	der, err := w.opt.Sealer.Open(w.accounts.Key(name), r.Key)
	if err != nil {
		return wire.Account{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return wire.Account{}, fault.Wrap(fault.Internal, err, "the key of the ACME account %s can't be read", name)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return wire.Account{}, fault.New(fault.Internal, "the key of the ACME account %s is of no known kind", name)
	}
	return wire.Account{Status: wire.StatusValid, Location: r.Location, PrivateKey: signer, Contact: contact(r.Email)}, nil
}

func (w *work) newAccount(ctx context.Context, name string) (wire.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wire.Account{}, err
	}
	a := wire.Account{Contact: contact(w.order.Email), TermsOfServiceAgreed: true, PrivateKey: key}
	if b := w.opt.EAB; b.KeyID != "" && w.order.Directory == w.opt.Main {
		eab := wire.EAB{KeyID: b.KeyID, MACKey: base64.RawURLEncoding.EncodeToString(b.HMAC)}
		if err := a.SetExternalAccountBinding(ctx, w.wire, eab); err != nil {
			return a, err
		}
	}
	if a, err = w.wire.NewAccount(ctx, a); err != nil {
		return a, err
	}
	if a.Location == "" {
		return a, errors.New("the authority made an account without an address")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return a, err
	}
	record := accountRecord{Directory: w.order.Directory, Email: w.order.Email, Location: a.Location,
		Key: w.opt.Sealer.Seal(w.accounts.Key(name), der), CreatedAt: time.Now().UTC()}
	_, err = w.accounts.Create(ctx, name, record, 0)
	if fault.Is(err, fault.Exists) {
		return w.account(ctx)
	}
	w.tell(Step{Name: "account", Detail: "registered at the authority"})
	return a, err
}

// forgetAccount removes an account that its authority does not know any more: it
// was reset, or the account was deactivated there.
//
// Another node may have registered again already: its account stays.
func (w *work) forgetAccount(ctx context.Context) error {
	name := accountName(w.order.Directory, w.order.Email)
	row, err := w.accounts.Get(ctx, name)
	if err == nil && row.Value.Location == w.used {
		_, err = w.opt.KV.Commit(ctx, store.Write{Key: w.accounts.Key(name), Delete: true, If: row.Version})
	}
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

func contact(email string) []string {
	if email == "" {
		return nil
	}
	return []string{"mailto:" + email}
}
