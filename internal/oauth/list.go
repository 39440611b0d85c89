package oauth

import (
	"context"
	"slices"

	"gatehouse/internal/fault"
	"gatehouse/internal/store"
)

// Lists for the people who run this server. None of them holds a secret or the
// hash of one.

type (
	deviceRow = store.Row[device]
	clientRow = store.Row[Client]
)

// values are the records of rows.
func values[T any](rows []store.Row[T], err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	all := make([]T, len(rows))
	for i, row := range rows {
		all[i] = row.Value
	}
	return all, nil
}

// Clients are the registered clients of all issuers and those known by URL of
// which a copy is kept, without their secrets.
func (s *Server) Clients(ctx context.Context) ([]Client, error) {
	all, err := values(s.clients.All(ctx))
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i] = all[i].public()
	}
	kept, err := values(s.kept.All(ctx))
	for i := range kept {
		all = append(all, kept[i].public())
	}
	return all, err
}

// Client is one client, without its secrets.
func (s *Server) Client(ctx context.Context, id string) (Client, error) {
	if isClientURL(id) {
		row, err := s.kept.Get(ctx, hashed(id))
		if fault.Is(err, fault.NotFound) {
			return Client{}, fault.New(fault.NotFound, "there is no client %q", id)
		}
		return row.Value.public(), err
	}
	row, err := s.clients.Get(ctx, id)
	return row.Value.public(), err
}

// public is the client with the moment when its document was fetched. It belongs
// to no single issuer.
func (k *keptClient) public() Client {
	c := k.Client.public()
	c.CreatedAt, c.CreatedFrom = k.Fetched, k.From
	return c
}

func (c Client) public() Client {
	c.SecretHash, c.RegistrationKey = "", ""
	return c
}

// DeleteClient removes a client and ends its grants and tokens. One that is known
// by its URL may come again: what it was given is ended, and its copy forgotten.
func (s *Server) DeleteClient(ctx context.Context, id string) error {
	if isClientURL(id) {
		if err := s.kept.Delete(ctx, hashed(id)); err != nil {
			return err
		}
		s.flight.kept.remove(s.kept.Key(hashed(id)))
		s.byURL.remove(id)
		return s.Revoke(ctx, RevokeClient, id)
	}
	if err := s.clients.Delete(ctx, id); err != nil {
		return err
	}
	s.flight.clients.remove(s.clients.Key(id))
	return s.Revoke(ctx, RevokeClient, id)
}

// Grants are the living grants of a person, by subject; of everybody when it is
// empty.
func (s *Server) Grants(ctx context.Context, subject string) ([]Grant, error) {
	all, err := values(s.grants.All(ctx))
	if err != nil {
		return nil, err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].forget(now)
		all[i] = all[i].public()
	}
	if subject == "" {
		return all, nil
	}
	return slices.DeleteFunc(all, func(g Grant) bool { return g.Person.Subject != subject }), nil
}

// Grant is one living grant.
func (s *Server) Grant(ctx context.Context, id string) (Grant, error) {
	row, err := s.grants.Get(ctx, id)
	if err != nil {
		return Grant{}, err
	}
	now, err := s.kv.Now(ctx)
	row.Value.forget(now)
	return row.Value.public(), err
}

// public leaves of the refresh tokens how many there are and since when.
func (g Grant) public() Grant {
	g.Person.Token = nil
	branches := make([]Branch, len(g.Branches))
	for i, b := range g.Branches {
		branches[i].At = b.At
	}
	g.Branches, g.Rotated, g.Resting = branches, nil, nil
	return g
}

// Sessions are the living browser sessions of a person, by subject; of
// everybody when it is empty.
func (s *Server) Sessions(ctx context.Context, subject string) ([]Session, error) {
	all, err := values(s.sessions.All(ctx))
	if err != nil {
		return nil, err
	}
	now, err := s.kv.Now(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Person.Token = nil
	}
	return slices.DeleteFunc(all, func(e Session) bool {
		// The list is written a little late; a session is taken off it only when
		// its cookie can't count any more.
		return (subject != "" && e.Person.Subject != subject) || now.After(e.until().Add(sessionRenew))
	}), nil
}

// EndGrant ends one grant with all its tokens; NotFound when there is none.
func (s *Server) EndGrant(ctx context.Context, id string) error {
	if _, err := s.grants.Get(ctx, id); err != nil {
		return fault.New(fault.NotFound, "there is no grant %q", id)
	}
	return s.Revoke(ctx, RevokeGrant, id)
}
