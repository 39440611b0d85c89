package oauth

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/fault"
)

// tokenByClient gives a confidential client that an administrator made a token
// of its own (RFC 6749, section 4.4): no person stands behind it, so it is let in
// only where a list names client:ID, with the scopes that the administrator gave
// and the lists give. There is no refresh token: the client asks again.
func (s *Server) tokenByClient(ctx context.Context, r *request, f form, c *Client) error {
	if !c.Admin || c.AuthMethod == authNone {
		return newError("unauthorized_client", "client_credentials is for confidential clients that an administrator made")
	}
	target, asked, err := s.wanted(r.place, f)
	if err != nil {
		return err
	}
	given := intersect(asked, strings.Fields(c.Scope))
	if len(given) == 0 {
		return newError("invalid_scope", "the administrator gave this client none of the scopes asked for").because("scope_not_given")
	}
	who := clientPerson(c)
	if ok, reason := s.Permitted(target.host, who); !ok {
		return newError("unauthorized_client", "no list of this resource names "+who.Subject).because(reason)
	}
	scopes := s.GrantedScopes(target.host, who, given)
	if len(scopes) == 0 {
		return newError("invalid_scope", "no list of this resource gives "+who.Subject+" one of the scopes asked for").because("scope_not_given")
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return err
	}
	g, err := s.ownGrant(ctx, c, r.place.issuer, target, now)
	if err != nil {
		return err
	}
	answer, err := s.answerToken(&g, order{scopes: scopes, now: now, until: now.Add(s.opt.AccessTokenLifetime)})
	if err != nil {
		return err
	}
	s.noteUse(ctx, c, now)
	s.sendTokens(ctx, r, c, &g, grantClient, answer)
	return nil
}

// clientPerson is a client that acts for itself, as lists see it.
func clientPerson(c *Client) Person {
	return Person{Subject: clientSubject + c.ID, User: clientSubject + c.ID, Name: c.Name, Provider: "client"}
}

// A client that acts for itself has one grant for each resource on each node,
// for as long as it uses it: its tokens are listed and ended by that, and a
// client that asks for a token each second leaves no thousands of grants behind.
const (
	ownUseEvery = time.Minute // how often a use is written down
	ownSpare    = 10 * time.Minute
	ownPatience = 10 * time.Second // for others who have their tokens made
)

// ownGrants are the grants of clients that act for themselves, as this node made
// them. What is forgotten here is made anew.
type ownGrants struct {
	turns turns // of those who want one made

	mu sync.Mutex // guards by
	by map[string]ownGrant
}

type ownGrant struct {
	id    string
	until time.Time
}

func (o *ownGrants) get(key string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.by[key].id
}

func (o *ownGrants) put(key, id string, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = map[string]ownGrant{}
	}
	o.by[key] = ownGrant{id, until}
}

func (o *ownGrants) prune(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.by, func(_ string, g ownGrant) bool { return now.After(g.until) })
}

// ownGrant is the living grant of a client for itself at a resource. It is
// stored before anything is answered.
func (s *Server) ownGrant(ctx context.Context, c *Client, issuer string, target audience, now time.Time) (Grant, error) {
	key := c.ID + " " + issuer + " " + target.resource
	waiting, cancel := context.WithTimeout(ctx, ownPatience)
	defer cancel()
	done, err := s.own.turns.take(waiting, key)
	if err != nil {
		return Grant{}, errBusy
	}
	defer done()
	g, err := s.usedGrant(ctx, s.own.get(key), c, now)
	if !fault.Is(err, fault.NotFound) {
		return g, err
	}
	scopes := intersect(strings.Fields(c.Scope), target.host.Proxy.ResourceScopes)
	g = Grant{ID: newID(), Issuer: issuer, ClientID: c.ID, Client: c.Name, Person: clientPerson(c), Resource: target.resource, Scopes: scopes, CreatedAt: now, LastUsed: now}
	if _, err := s.grants.Create(ctx, g.ID, g, s.ownLife()); err != nil {
		return g, err
	}
	s.own.put(key, g.ID, now.Add(s.ownLife()))
	return g, s.stillRegistered(ctx, c, &g)
}

// usedGrant notes that a grant which is there is used; NotFound when it has
// ended.
func (s *Server) usedGrant(ctx context.Context, id string, c *Client, now time.Time) (Grant, error) {
	if id == "" || s.revoked.any(RevokeGrant, id) {
		return Grant{}, errNoGrant
	}
	row, err := s.grants.Get(ctx, id)
	g := row.Value
	switch {
	case err != nil:
		return g, err
	case s.endedSince(c.ID, &g.Person, g.Resource, g.CreatedAt):
		return g, errNoGrant
	case now.Sub(g.LastUsed) < ownUseEvery:
		return g, nil
	}
	g.LastUsed = now
	_, err = s.grants.Update(ctx, id, g, row.Version, s.ownLife())
	if fault.Is(err, fault.Conflict) { // nobody changes it but who ends it
		err = errNoGrant
	}
	return g, err
}

var errNoGrant = fault.New(fault.NotFound, "there is no such grant")

// ownLife is how long a client's own grant lasts unused: longer than its tokens.
func (s *Server) ownLife() time.Duration { return s.opt.AccessTokenLifetime + ownSpare }

// stillRegistered ends a grant that was made while its client was removed or
// revoked: whoever did that could not see it.
func (s *Server) stillRegistered(ctx context.Context, c *Client, g *Grant) error {
	_, err := s.clients.Get(ctx, c.ID)
	switch {
	case err == nil && !s.endedSince(c.ID, &g.Person, g.Resource, g.CreatedAt):
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	}
	if err := s.endGrant(ctx, g.ID); err != nil {
		return err
	}
	return refusedClient("client_unknown", "This client was removed or revoked just now", false)
}
