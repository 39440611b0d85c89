package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	wire "github.com/mholt/acmez/v3/acme"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

const (
	prefixAnswer = "acme:challenge:" // by token; of TLS-ALPN-01 by "tls-alpn-01:" and name
	answerLife   = time.Hour

	// HTTP01Path begins the path of HTTP-01 challenges (RFC 8555, section 8.3).
	HTTP01Path = "/.well-known/acme-challenge/"

	maxToken = 256 // characters of a token
	lookers  = 16  // requests at once that may look into the store
	alpnMark = "tls-alpn-01:"
)

// answerRecord is the answer to one challenge, sealed as a whole.
type answerRecord struct {
	Type             string `json:"type"`
	Domain           string `json:"domain"`
	Token            string `json:"token"`
	KeyAuthorization string `json:"key_authorization"`
}

// Answers are the answers to the challenges of all nodes' orders: whichever node
// the authority reaches has it. They are kept in the store, and in memory, where
// the store's watch brings them; what is not there yet is looked up, by a few
// requests at a time. It is safe for concurrent use.
type Answers struct {
	kv     store.KV
	sealer Sealer
	log    *slog.Logger
	looks  chan struct{}

	mu    sync.RWMutex // guards known and certs
	known map[string]answerRecord
	certs map[string]*tls.Certificate // of TLS-ALPN-01, by name
}

// NewAnswers makes empty ones. They start nothing.
func NewAnswers(kv store.KV, sealer Sealer, log *slog.Logger) *Answers {
	return &Answers{kv: kv, sealer: sealer, log: log, looks: make(chan struct{}, lookers),
		known: map[string]answerRecord{}, certs: map[string]*tls.Certificate{}}
}

// Run follows the answers of other nodes until ctx ends.
func (a *Answers) Run(ctx context.Context) error {
	for e := range a.kv.Watch(ctx, prefixAnswer) {
		name := strings.TrimPrefix(e.Key, prefixAnswer)
		switch e.Kind {
		case store.Changed:
			a.take(ctx, name)
		case store.Deleted:
			a.forget(name)
		case store.Reload:
			a.forgetAll()
			a.takeAll(ctx)
		}
	}
	return nil
}

// take brings one answer from the store into memory.
func (a *Answers) take(ctx context.Context, name string) {
	r, err := a.look(ctx, name)
	if err == nil {
		err = a.remember(name, r)
	}
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.NotFound) {
		a.log.WarnContext(ctx, "the answer to a challenge can't be read", "error", err)
	}
}

// takeAll is take for all that there are. What can't be listed now is looked up
// when it is asked for.
func (a *Answers) takeAll(ctx context.Context) {
	for after := ""; ; {
		items, err := a.kv.List(ctx, prefixAnswer, after, store.MaxPage)
		if err != nil {
			return
		}
		for _, item := range items {
			a.take(ctx, strings.TrimPrefix(item.Key, prefixAnswer))
		}
		if len(items) < store.MaxPage {
			return
		}
		after = items[len(items)-1].Key
	}
}

// present stores an answer before the authority is told to look.
func (a *Answers) present(ctx context.Context, c wire.Challenge) error {
	if !isToken(c.Token) {
		return fault.New(fault.Invalid, "the authority's challenge has a malformed token")
	}
	r := answerRecord{Type: c.Type, Domain: strings.ToLower(c.Identifier.Value), Token: c.Token, KeyAuthorization: c.KeyAuthorization}
	plain, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := r.name()
	key := prefixAnswer + name
	if _, err := a.kv.Commit(ctx, store.Write{Key: key, Value: a.sealer.Seal(key, plain), If: store.AnyVersion, TTL: answerLife}); err != nil {
		return err
	}
	return a.remember(name, r)
}

// cleanUp removes an answer. One that stays is gone within the hour.
func (a *Answers) cleanUp(ctx context.Context, c wire.Challenge) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r := answerRecord{Type: c.Type, Domain: strings.ToLower(c.Identifier.Value), Token: c.Token}
	a.forget(r.name())
	if _, err := a.kv.Take(ctx, prefixAnswer+r.name()); err != nil && !fault.Is(err, fault.NotFound) {
		a.log.WarnContext(ctx, "the answer to a challenge could not be removed; it goes by itself within the hour", "error", err)
	}
}

func (r answerRecord) name() string {
	if r.Type == TLSALPN01 {
		return alpnMark + r.Domain
	}
	return r.Token
}

func (a *Answers) remember(name string, r answerRecord) error {
	var cert *tls.Certificate
	var err error
	if r.Type == TLSALPN01 {
		if cert, err = r.certificate(); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = r
	if cert != nil {
		a.certs[r.Domain] = cert
	}
	return nil
}

// certificate is what a TLS-ALPN-01 validation must see (RFC 8737, section 3).
func (r answerRecord) certificate() (*tls.Certificate, error) {
	return acmez.TLSALPN01ChallengeCert(wire.Challenge{Type: r.Type, Token: r.Token, KeyAuthorization: r.KeyAuthorization,
		Identifier: wire.Identifier{Type: "dns", Value: r.Domain}})
}

func (a *Answers) forget(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, name)
	if domain, ok := strings.CutPrefix(name, alpnMark); ok {
		delete(a.certs, domain)
	}
}

func (a *Answers) forgetAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.known)
	clear(a.certs)
}

// look reads an answer from the store.
func (a *Answers) look(ctx context.Context, name string) (answerRecord, error) {
	key := prefixAnswer + name
	item, err := a.kv.Get(ctx, key)
	if err != nil {
		return answerRecord{}, err
	}
	plain, err := a.sealer.Open(key, item.Value)
	if err != nil {
		return answerRecord{}, err
	}
	var r answerRecord
	if err := json.Unmarshal(plain, &r); err != nil {
		return r, fault.Wrap(fault.Internal, err, "the stored answer to a challenge can't be read")
	}
	return r, nil
}

// find is the answer under name, from memory or else from the store. Strangers
// may ask for anything: only a few look into the store at once.
func (a *Answers) find(ctx context.Context, name string) (answerRecord, bool) {
	a.mu.RLock()
	r, ok := a.known[name]
	a.mu.RUnlock()
	if ok {
		return r, true
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case a.looks <- struct{}{}:
		defer func() { <-a.looks }()
	case <-ctx.Done():
		return r, false
	}
	r, err := a.look(ctx, name)
	if err != nil && !fault.Is(err, fault.NotFound) { // strangers choose how often
		a.log.DebugContext(ctx, "the answer to a challenge can't be read", "error", err)
	}
	return r, err == nil
}

// ServeHTTP answers HTTP-01 challenges on every name, known here or not.
func (a *Answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.URL.Path, HTTP01Path)
	body, ok := "", false
	if isToken(token) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		if body, ok = a.probed(token, time.Now()); !ok {
			var answer answerRecord
			if answer, ok = a.find(r.Context(), token); ok {
				ok, body = answer.Type == HTTP01, answer.KeyAuthorization
			}
		}
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if !ok {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("no such challenge\n")) // the client is gone: nobody is left to tell
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	_, _ = w.Write([]byte(body))
}

// Handshake is the certificate that a TLS-ALPN-01 validation of name must see
// (RFC 8737); nil when none is expected.
func (a *Answers) Handshake(ctx context.Context, name string) *tls.Certificate {
	a.mu.RLock()
	cert := a.certs[name]
	a.mu.RUnlock()
	if cert != nil || name == "" {
		return cert
	}
	r, ok := a.find(ctx, alpnMark+name)
	if !ok || r.Type != TLSALPN01 {
		return nil
	}
	cert, err := r.certificate()
	if err != nil {
		a.log.DebugContext(ctx, "the answer to a challenge can't be read", "error", err)
		return nil
	}
	return cert
}

// isToken reports whether s can be a token: base64url (RFC 8555, section 8.1).
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
